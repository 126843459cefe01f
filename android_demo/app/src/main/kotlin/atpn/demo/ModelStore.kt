package atpn.demo

import android.content.Context
import android.net.Uri
import android.provider.OpenableColumns
import atpn.runtime.ModelFileException
import atpn.runtime.ModelSpec
import java.io.File
import java.io.IOException
import java.security.MessageDigest

private const val ASSETS = "models"
private const val SUFFIX = ".tflite"

/** A model file by name. */
class ModelFile(val name: String, val bytes: ByteArray) {
    /** Of the file, in hexadecimal digits. */
    val sha256: String get() = MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }
}

/** The model files at hand: those that the app was built with, and those that its user brought. */
class ModelStore(private val context: Context) {
    private val brought = File(context.filesDir, ASSETS)

    /** Names of the tracking networks; files that cannot be used are left out. */
    fun trackers(): List<String> = names().filter { specOrNull(it)?.isDetector == false }

    /** Names of the face detectors. */
    fun detectors(): List<String> = names().filter { specOrNull(it)?.isDetector == true }

    /** A file by its name; what was brought hides what was built in. */
    fun read(name: String): ModelFile {
        val file = File(brought, name)
        val bytes = if (file.isFile) file.readBytes() else context.assets.open("$ASSETS/$name").use { it.readBytes() }
        return ModelFile(name, bytes)
    }

    /** Keeps a copy of a document and returns its name; ModelFileException or IOException say why it cannot be used. */
    fun bring(document: Uri): String {
        val name = File(nameOf(document)).name
        if (!name.endsWith(SUFFIX)) throw ModelFileException("a model file ends in $SUFFIX, got $name")
        val stream = context.contentResolver.openInputStream(document) ?: throw IOException("$name cannot be opened")
        val bytes = stream.use { it.readBytes() }
        ModelSpec.read(bytes, name)
        brought.mkdirs()
        val part = File(brought, "$name.part")
        part.writeBytes(bytes)
        if (!part.renameTo(File(brought, name))) throw IOException("$name cannot be stored")
        return name
    }

    private fun names(): List<String> {
        val built = context.assets.list(ASSETS).orEmpty().toList()
        return (built + brought.list().orEmpty()).filter { it.endsWith(SUFFIX) }.nms().sorted()
    }

    private fun specOrNull(name: String): ModelSpec? =
        try {
            ModelSpec.read(read(name).bytes, name)
        } catch (_: ModelFileException) {
            null
        } catch (_: IOException) {
            null
        }

    private fun nameOf(document: Uri): String {
        val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
        context.contentResolver.query(document, columns, null, null, null)?.use { found ->
            if (found.moveToFirst()) return found.getString(0)
        }
        return document.lastPathSegment.orEmpty()
    }
}
