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

/** A model file. */
class ModelFile(val name: String, val bytes: ByteArray) {
    /** SHA-256 of the file, hexadecimal. */
    val sha256: String get() = MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }
}

/** Model files of the app and of its user. */
class ModelStore(private val context: Context) {
    private val imported = File(context.filesDir, ASSETS)

    /** Returns the names of the usable landmark models. */
    fun trackers(): List<String> = names().filter { specOrNull(it)?.isDetector == false }

    /** Returns the names of the usable face detectors. */
    fun detectors(): List<String> = names().filter { specOrNull(it)?.isDetector == true }

    /** Reads a file; an imported one replaces a built-in one of the same name. */
    fun read(name: String): ModelFile {
        val file = File(imported, name)
        val bytes = if (file.isFile) file.readBytes() else context.assets.open("$ASSETS/$name").use { it.readBytes() }
        return ModelFile(name, bytes)
    }

    /** Imports a document and returns its name. ModelFileException or IOException if it cannot be used. */
    fun importDocument(document: Uri): String {
        val name = File(nameOf(document)).name
        if (!name.endsWith(SUFFIX)) throw ModelFileException("expected a $SUFFIX file, got $name")
        val stream = context.contentResolver.openInputStream(document) ?: throw IOException("cannot open $name")
        val bytes = stream.use { it.readBytes() }
        ModelSpec.read(bytes, name)
        imported.mkdirs()
        val part = File(imported, "$name.part")
        part.writeBytes(bytes)
        if (!part.renameTo(File(imported, name))) throw IOException("cannot store $name")
        return name
    }

    private fun names(): List<String> {
        val built = context.assets.list(ASSETS).orEmpty().toList()
        return (built + imported.list().orEmpty()).filter { it.endsWith(SUFFIX) }.distinct().sorted()
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
