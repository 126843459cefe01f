package atpn.runtime

/**
 * Points that a user drew on the mean-face plane, which the model finds besides the landmarks: edge_runtime/template.py.
 *
 * [points] are x0, y0, x1 ... in [0, 1] of the plane; [edges] are pairs of them to join with a line in an overlay.
 */
class Template(val name: String, val points: FloatArray, val edges: List<Pair<Int, Int>>) {
    /** How many points it has. */
    val count get() = points.size / 2

    companion object {
        /** A template as the spec's JSON has it; IllegalArgumentException says what is wrong. */
        fun of(json: Any?): Template {
            val values = json as? Map<*, *>
            val name = values?.get("name") as? String
            require(values != null && !name.isNullOrBlank()) { "a template is a JSON object with `name` and `points`" }
            val points = pointsOf(values["points"], "template $name: points")
            require(points.isNotEmpty() && points.all { it in 0f..1f }) {
                "template $name: points must lie in the plane, 0 to 1 both ways, and be one or more"
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

/** (N, 2) finite numbers of a JSON value, flattened; IllegalArgumentException names it. */
internal fun pointsOf(json: Any?, what: String): FloatArray {
    val rows = (json as? List<*>)?.map { row -> (row as? List<*>)?.map { (it as? Double)?.toFloat() ?: Float.NaN } }
    require(rows != null && rows.all { row -> row != null && row.size == 2 && row.all { it.isFinite() } }) {
        "$what must hold finite (N, 2) points"
    }
    return rows.flatMap { it.orEmpty() }.toFloatArray()
}
