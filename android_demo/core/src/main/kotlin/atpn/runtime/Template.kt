package atpn.runtime

/**
 * Custom points in canonical face space: edge_runtime/template.py.
 *
 * [points] are x0, y0, x1 ... in [0, 1]; [edges] are index pairs to join with a line in an overlay.
 */
class Template(val name: String, val points: FloatArray, val edges: List<Pair<Int, Int>>) {
    /** Number of points. */
    val count get() = points.size / 2

    companion object {
        /** Creates a template from the spec's JSON. IllegalArgumentException names an invalid field. */
        fun of(json: Any?): Template {
            val values = json as? Map<*, *>
            val name = values?.get("name") as? String
            require(values != null && !name.isNullOrBlank()) { "a template is a JSON object with `name` and `points`" }
            val points = pointsOf(values["points"], "template $name: points")
            require(points.isNotEmpty() && points.all { it in 0f..1f }) {
                "template $name: expected one or more points in [0, 1]"
            }
            val edges = (values["edges"] as? List<*>).orEmpty().map { edge ->
                val ends = (edge as? List<*>).orEmpty().map { (it as? Double)?.toInt() ?: -1 }
                require(ends.size == 2 && ends.all { it in 0 until points.size / 2 }) {
                    "template $name: an edge joins two of its ${points.size / 2} points, got $edge"
                }
                ends[0] to ends[1]
            }
            return Template(name, points, edges)
        }
    }
}

/** Converts (N, 2) finite numbers of a JSON value to a flat array. IllegalArgumentException names it. */
internal fun pointsOf(json: Any?, what: String): FloatArray {
    val rows = (json as? List<*>)?.map { row -> (row as? List<*>)?.map { (it as? Double)?.toFloat() ?: Float.NaN } }
    require(rows != null && rows.all { row -> row != null && row.size == 2 && row.all { it.isFinite() } }) {
        "$what must hold finite (N, 2) points"
    }
    return rows.flatMap { it.orEmpty() }.toFloatArray()
}
