package atpn.runtime

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class JsonTest {
    @Test fun valuesOfEveryKind() {
        val text = """ {"a" : [1, -2.5e3, true, false, null, [], {}], "b":"x\"\\\/\n\t\u00e9é"} """
        val value = parseJson(text)
        val items = listOf(1.0, -2500.0, true, false, null, listOf<Any>(), mapOf<String, Any>())
        assertEquals(mapOf("a" to items, "b" to "x\"\\/\n\téé"), value)
        assertEquals(listOf("a", "b"), value.obj.keys.toList())
    }

    @Test fun invalidJsonIsRejected() {
        val broken = listOf("", "{", "[1", "[1,]", "{\"a\" 1}", "{1: 2}", "\"a", "tru", "[1 2]", "1 2", "--1", "NaN")
        for (text in broken + listOf("\"\\x\"", "\"\\u12")) {
            assertThrows(text, JsonException::class.java) { parseJson(text) }
        }
    }
}
