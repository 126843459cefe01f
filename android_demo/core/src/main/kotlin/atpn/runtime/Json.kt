/*
 * Reader and writer of JSON, without libraries.
 */
package atpn.runtime

/** The text is not JSON; the message gives the position. */
class JsonException(message: String) : IllegalArgumentException(message)

/** Parses JSON to Map (in the text's order), List, String, Boolean, null, or Double for every number. */
fun parseJson(text: String): Any? = JsonReader(text).document()

/** Writes a Map, List, String, Boolean, null, or finite number as JSON. */
fun writeJson(value: Any?): String =
    when (value) {
        null, is Boolean, is Int, is Long -> value.toString()
        is Double -> value.toString().also { require(value.isFinite()) { "JSON has no $value" } }
        is String -> quoted(value)
        is List<*> -> value.joinToString(",", "[", "]") { writeJson(it) }
        is Map<*, *> ->
            value.entries.joinToString(",", "{", "}") { (name, item) -> "${quoted(name as String)}:${writeJson(item)}" }
        else -> throw IllegalArgumentException("${value.javaClass.name} is not JSON")
    }

private fun quoted(text: String) = text.toCharArray().joinToString("", "\"", "\"") { letter ->
    when {
        letter == '"' || letter == '\\' -> "\\$letter"
        letter < ' ' -> "\\u%04x".format(letter.code)
        else -> letter.toString()
    }
}

private class JsonReader(private val text: String) {
    private var at = 0

    fun document(): Any? {
        val value = value()
        if (peek() != END) fail("the end")
        return value
    }

    private fun value(): Any? =
        when (peek()) {
            '{' -> members()
            '[' -> items()
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }

    private fun members(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        listed('}') {
            if (peek() != '"') fail("a name")
            val name = string()
            if (peek() != ':') fail("a colon")
            at++
            found[name] = value()
        }
        return found
    }

    private fun items(): List<Any?> {
        val found = ArrayList<Any?>()
        listed(']') { found += value() }
        return found
    }

    private fun listed(end: Char, one: () -> Unit) {
        at++
        if (peek() == end) {
            at++
            return
        }
        while (true) {
            one()
            val next = peek()
            if (next != ',' && next != end) fail("a comma or $end")
            at++
            if (next == end) return
        }
    }

    private fun string(): String {
        val found = StringBuilder()
        at++
        while (at < text.length && text[at] != '"') {
            val next = text[at++]
            found.append(if (next == '\\') escaped() else next)
        }
        if (at >= text.length) fail("a closing quote")
        at++
        return found.toString()
    }

    private fun escaped(): Char {
        val next = text.getOrElse(at++) { END }
        if (next == 'u') {
            val code = text.substring(at, minOf(at + 4, text.length)).toIntOrNull(16) ?: fail("four hexadecimal digits")
            at += 4
            return code.toChar()
        }
        val known = "\"\\/bfnrt".indexOf(next)
        return if (known < 0) fail("an escape") else "\"\\/\b\u000C\n\r\t"[known]
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, at)) fail(word)
        at += word.length
        return value
    }

    private fun number(): Double {
        val begin = at
        while (at < text.length && text[at] in "+-.eE0123456789") at++
        return text.substring(begin, at).toDoubleOrNull() ?: fail("a value")
    }

    /** Skips white space and returns the next character. */
    private fun peek(): Char {
        while (at < text.length && text[at] in " \t\r\n") at++
        return text.getOrElse(at) { END }
    }

    private fun fail(expected: String): Nothing = throw JsonException("expected $expected at character $at")

    private companion object {
        const val END = '\u0000'
    }
}
