package atpn.demo

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Bundle
import android.os.Handler
import android.os.HandlerThread
import android.view.Gravity
import android.view.Surface
import android.view.WindowManager
import android.widget.Button
import android.widget.FrameLayout
import android.widget.LinearLayout
import android.widget.Toast
import atpn.runtime.Accelerator
import atpn.runtime.FaceTracker
import atpn.runtime.ModelFileException
import atpn.runtime.NetworkDetector
import atpn.runtime.RgbImage
import java.io.IOException

private const val REQUEST_CAMERA = 1
private const val REQUEST_MODEL = 2
private const val MAX_FACES = 2
private const val THREADS = 2
private const val PREFERRED = "atpn_int8.tflite"
private const val MODEL = "model"
private const val FACING = "facing"

/** Tracks faces in the camera's frames and shows them. */
class MainActivity : Activity() {
    private lateinit var view: FaceView
    private lateinit var store: ModelStore
    private var facing = Facing.FRONT
    private var model = PREFERRED
    private var session: Session? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        store = ModelStore(this)
        val preferences = getPreferences(MODE_PRIVATE)
        model = preferences.getString(MODEL, PREFERRED) ?: PREFERRED
        facing = if (preferences.getString(FACING, null) == Facing.BACK.name) Facing.BACK else Facing.FRONT
        view = FaceView(this)
        val buttons = LinearLayout(this)
        fun button(label: String, onClick: () -> Unit) =
            buttons.addView(Button(this).apply { text = label; setOnClickListener { onClick() } })
        button("Camera") { restart { facing = if (facing == Facing.FRONT) Facing.BACK else Facing.FRONT } }
        button("Model", ::pickModel)
        button("Latency") { startActivity(Intent(this, LatencyActivity::class.java)) }
        val bottom = FrameLayout.LayoutParams(FrameLayout.LayoutParams.WRAP_CONTENT, FrameLayout.LayoutParams.WRAP_CONTENT, Gravity.BOTTOM)
        setContentView(FrameLayout(this).apply { addView(view); addView(buttons, bottom) })
    }

    override fun onResume() {
        super.onResume()
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            start()
        } else if (shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)) {
            view.showMessage("no access to the camera: allow it in the system settings")
        } else {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), REQUEST_CAMERA)
        }
    }

    override fun onPause() {
        stop()
        super.onPause()
    }

    override fun onRequestPermissionsResult(code: Int, permissions: Array<out String>, granted: IntArray) {
        if (granted.none { it == PackageManager.PERMISSION_GRANTED }) {
            view.showMessage("no access to the camera: allow it in the system settings")
        }
    }

    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        val document = data?.data
        if (code != REQUEST_MODEL || result != RESULT_OK || document == null) return
        try {
            choose(store.importDocument(document))
        } catch (error: ModelFileException) {
            Toast.makeText(this, error.message, Toast.LENGTH_LONG).show()
        } catch (error: IOException) {
            Toast.makeText(this, error.message, Toast.LENGTH_LONG).show()
        }
    }

    private fun pickModel() {
        val names = store.trackers()
        val labels = (names + "Another file …").toTypedArray()
        AlertDialog.Builder(this)
            .setTitle(model)
            .setItems(labels) { _, which -> if (which < names.size) choose(names[which]) else requestModel() }
            .show()
    }

    private fun requestModel() {
        val any = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        startActivityForResult(any, REQUEST_MODEL)
    }

    private fun choose(name: String) = restart { model = name }

    /** Applies a change and restarts the camera if it was running. */
    private fun restart(change: () -> Unit) {
        val wasRunning = session != null
        stop()
        change()
        getPreferences(MODE_PRIVATE).edit().putString(MODEL, model).putString(FACING, facing.name).apply()
        if (wasRunning) start()
    }

    private fun start() {
        if (session == null) session = Session(this, view, store, model, facing, ::screenDegrees)
    }

    private fun stop() {
        session?.stop()
        session = null
    }

    @Suppress("DEPRECATION") // its successor needs API level 30
    private fun screenDegrees() = when (windowManager.defaultDisplay.rotation) {
        Surface.ROTATION_90 -> 90
        Surface.ROTATION_180 -> 180
        Surface.ROTATION_270 -> 270
        else -> 0
    }
}

/** Camera and tracker on their own thread, until [stop]. */
private class Session(
    activity: Activity,
    private val view: FaceView,
    private val store: ModelStore,
    private val model: String,
    private val facing: Facing,
    screenDegrees: () -> Int,
) {
    private val thread = HandlerThread("tracking").apply { start() }
    private val handler = Handler(thread.looper)
    private val networks = ArrayList<LiteRtBackend>()
    private val camera = CameraStream(activity, facing, screenDegrees, handler, ::track, view::showMessage)
    private var tracker: FaceTracker? = null

    init {
        handler.post(::start)
    }

    /** Returns at once; camera and networks are closed on their own thread. */
    fun stop() {
        handler.post {
            camera.close()
            networks.forEach(LiteRtBackend::close)
            thread.quit()
        }
    }

    private fun start() {
        try {
            val names = store.trackers()
            val name = if (model in names) model else names.first()
            val detector = store.detectors().first()
            tracker = FaceTracker(load(name), NetworkDetector(load(detector)), MAX_FACES)
            camera.open()
        } catch (_: NoSuchElementException) {
            view.showMessage("no model files: run make export-tflite and build the app again, or choose a file under Model")
        } catch (error: IllegalArgumentException) {
            view.showMessage(error.message.orEmpty())
        } catch (error: IOException) {
            view.showMessage(error.message.orEmpty())
        }
    }

    private fun load(name: String) = LiteRtBackend(store.read(name), Accelerator.XNNPACK, THREADS).also(networks::add)

    private fun track(image: RgbImage, time: Double) {
        val began = System.nanoTime()
        val faces = tracker?.update(image, time) ?: return
        view.show(image, faces, (System.nanoTime() - began) / 1e6, mirrored = facing == Facing.FRONT)
    }
}
