package atpn.runtime

import java.io.ByteArrayInputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.ZipInputStream

/** Name of the spec's JSON in the archive. */
const val SPEC_FILE = "model_spec.json"

private const val END_OF_ARCHIVE = 0x06054b50
private const val END_SIZE = 22
private const val ENTRY = 0x02014b50
private const val MAX_COMMENT_SIZE = 0xFFFF

/** Returns the UTF-8 text of a file in the zip archive appended to a TFLite file, or null if there is none. */
internal fun associatedFile(file: ByteArray, name: String): String? {
    val begin = firstEntry(file) ?: return null
    try {
        ZipInputStream(ByteArrayInputStream(file, begin, file.size - begin)).use { archive ->
            while (true) {
                val entry = archive.nextEntry ?: return null
                if (entry.name == name) return archive.readBytes().decodeToString()
            }
        }
    } catch (_: IOException) {
        return null
    }
}

/** Returns the offset of the archive's first entry. `java.util.zip.ZipFile` needs a path; a model may be an asset. */
private fun firstEntry(file: ByteArray): Int? {
    val bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN)
    val last = file.size - END_SIZE
    val end = (last downTo maxOf(last - MAX_COMMENT_SIZE, 0)).firstOrNull { bytes.getInt(it) == END_OF_ARCHIVE }
    val directory = end?.let { bytes.getInt(it + 16) } ?: return null
    if (directory < 0 || directory > last || bytes.getInt(directory) != ENTRY) return null
    return bytes.getInt(directory + 42).takeIf { it in 0 until directory }
}
