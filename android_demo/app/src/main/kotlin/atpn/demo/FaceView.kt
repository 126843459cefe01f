package atpn.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import android.view.View
import atpn.runtime.Face
import atpn.runtime.RgbImage

private val AXES = listOf(Color.RED, Color.GREEN, Color.BLUE)

/** Length of a pose axis, in ROI sizes. */
private const val AXIS_LENGTH = 0.35f

/** Number of a face's expressions that are shown, the strongest. */
private const val SHOWN_EXPRESSIONS = 3

/** Overlay of one frame. */
private class Shown(val bitmap: Bitmap, val faces: List<Face>, val milliseconds: Double, val mirrored: Boolean)

/** Camera image with landmarks, pose axes, confidence, strongest expressions, and time per frame. */
class FaceView(context: Context) : View(context) {
    private var shown: Shown? = null
    private var message = ""
    private val points = Paint().apply { color = Color.CYAN }
    private val template = Paint().apply { color = Color.YELLOW }
    private val lines = Paint().apply { strokeWidth = 4 * density }
    private val text = Paint().apply {
        color = Color.WHITE
        textSize = 16 * density
        isAntiAlias = true
        setShadowLayer(2 * density, 0f, 0f, Color.BLACK)
    }
    private val density get() = resources.displayMetrics.density

    /** Shows a frame, [mirrored] for a front camera; from any thread. [image] is copied. */
    fun show(image: RgbImage, faces: List<Face>, milliseconds: Double, mirrored: Boolean) {
        val next = Shown(bitmapOf(image), faces, milliseconds, mirrored)
        post {
            shown = next
            message = ""
            invalidate()
        }
    }

    /** Shows a message instead of a frame; from any thread. */
    fun showMessage(text: String) {
        post {
            shown = null
            message = text
            invalidate()
        }
    }

    override fun onDraw(canvas: Canvas) {
        canvas.drawColor(Color.BLACK)
        var y = height / 2f
        for (line in message.chunked(48)) {
            canvas.drawText(line, 16 * density, y, text)
            y += 1.3f * text.textSize
        }
        shown?.let { draw(canvas, it) }
    }

    private fun draw(canvas: Canvas, shown: Shown) {
        val bitmap = shown.bitmap
        val scale = minOf(width / bitmap.width.toFloat(), height / bitmap.height.toFloat())
        val left = (width - scale * bitmap.width) / 2
        val top = (height - scale * bitmap.height) / 2
        val transform = Matrix()
        transform.setScale(if (shown.mirrored) -scale else scale, scale)
        transform.postTranslate(if (shown.mirrored) left + scale * bitmap.width else left, top)
        canvas.drawBitmap(bitmap, transform, null)
        // Pixel centers: integers in the runtime, halves on the canvas.
        fun place(x: Double, y: Double) = floatArrayOf(x.toFloat() + 0.5f, y.toFloat() + 0.5f).also(transform::mapPoints)
        for (face in shown.faces) {
            dots(canvas, face.landmarks, points, ::place)
            face.points?.let { dots(canvas, it, template, ::place) }
            axes(canvas, face, ::place)
            val (x, y) = place(face.roi.cx, face.roi.cy - face.roi.size / 2)
            canvas.drawText("%d  %.2f".format(face.id, face.confidence), x, y, text)
            val strongest = face.expressions.orEmpty().entries.sortedByDescending { it.value }.take(SHOWN_EXPRESSIONS)
            for ((i, expression) in strongest.withIndex()) {
                canvas.drawText("%s  %.2f".format(expression.key, expression.value), x, y - 1.3f * (i + 1) * text.textSize, text)
            }
        }
        canvas.drawText("%.1f ms".format(shown.milliseconds), left + 8 * density, top + 24 * density, text)
    }

    private fun dots(canvas: Canvas, points: DoubleArray, paint: Paint, place: (Double, Double) -> FloatArray) {
        for (i in points.indices step 2) {
            val (x, y) = place(points[i], points[i + 1])
            canvas.drawCircle(x, y, 2 * density, paint)
        }
    }

    /** Draws the head's axes in parallel projection: right red, down green, backward blue. */
    private fun axes(canvas: Canvas, face: Face, place: (Double, Double) -> FloatArray) {
        val (x, y) = place(face.roi.cx, face.roi.cy)
        val length = AXIS_LENGTH * face.roi.size
        for ((axis, color) in AXES.withIndex()) {
            lines.color = color
            val (endX, endY) = place(face.roi.cx + length * face.pose.matrix[axis], face.roi.cy + length * face.pose.matrix[3 + axis])
            canvas.drawLine(x, y, endX, endY, lines)
        }
    }
}

private fun bitmapOf(image: RgbImage): Bitmap {
    val colors = IntArray(image.width * image.height) { i ->
        val at = 3 * i
        Color.rgb(
            image.pixels[at].toInt() and 0xFF,
            image.pixels[at + 1].toInt() and 0xFF,
            image.pixels[at + 2].toInt() and 0xFF,
        )
    }
    return Bitmap.createBitmap(colors, image.width, image.height, Bitmap.Config.ARGB_8888)
}
