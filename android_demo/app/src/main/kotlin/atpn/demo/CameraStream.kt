package atpn.demo

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.util.Size
import atpn.runtime.RgbImage
import atpn.runtime.Plane
import atpn.runtime.uprightRgb
import java.io.Closeable
import kotlin.math.abs

/** Preferred number of pixels per frame: enough for faces at arm's length, and converted in milliseconds. */
private const val TARGET_PIXELS = 640 * 480
private const val BUFFERS = 2

/** Direction of a camera. */
enum class Facing(val value: Int) {
    FRONT(CameraCharacteristics.LENS_FACING_FRONT),
    BACK(CameraCharacteristics.LENS_FACING_BACK),
}

/**
 * Upright frames of one camera; frames that arrive during [onFrame] are dropped. Callbacks run on [handler]'s thread, where
 * [close] must be called, too.
 */
class CameraStream(
    context: Context,
    private val facing: Facing,
    /** Counter-clockwise rotation of the screen from its natural orientation, degrees. */
    private val screenDegrees: () -> Int,
    private val handler: Handler,
    /** Receives an image, valid until the call returns, and its time in seconds. */
    private val onFrame: (RgbImage, Double) -> Unit,
    private val onError: (String) -> Unit,
) : Closeable {
    private val manager = context.getSystemService(CameraManager::class.java)
    private var camera: CameraDevice? = null
    private var reader: ImageReader? = null
    private var sensorDegrees = 0
    private var pixels: ByteArray? = null
    private var closed = false

    /** Opens the camera; requires its permission. */
    @SuppressLint("MissingPermission")
    fun open() {
        try {
            val id = manager.cameraIdList.firstOrNull {
                manager.getCameraCharacteristics(it).get(CameraCharacteristics.LENS_FACING) == facing.value
            } ?: return onError("this phone has no ${facing.name.lowercase()} camera")
            val about = manager.getCameraCharacteristics(id)
            sensorDegrees = about.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
            val sizes = about.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)?.getOutputSizes(ImageFormat.YUV_420_888)
            val size = sizes.orEmpty().minByOrNull { abs(it.width * it.height - TARGET_PIXELS) } ?: Size(640, 480)
            reader = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, BUFFERS).also {
                it.setOnImageAvailableListener({ source -> source.acquireLatestImage()?.use(::deliver) }, handler)
            }
            manager.openCamera(id, DeviceCallback(), handler)
        } catch (error: CameraAccessException) {
            onError("cannot open the camera: ${error.message}")
        } catch (error: SecurityException) {
            onError("no access to the camera: ${error.message}")
        }
    }

    override fun close() {
        closed = true
        camera?.close()
        camera = null
        reader?.close()
        reader = null
    }

    private fun deliver(image: Image) {
        if (closed) return
        val (y, u, v) = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
        // A front camera rotates in the opposite direction.
        val turn = if (facing == Facing.FRONT) sensorDegrees + screenDegrees() else sensorDegrees - screenDegrees() + 360
        val rgb = uprightRgb(y, u, v, image.width, image.height, turn % 360, pixels)
        pixels = rgb.pixels
        onFrame(rgb, image.timestamp / 1e9)
    }

    private inner class DeviceCallback : CameraDevice.StateCallback() {
        override fun onOpened(device: CameraDevice) {
            val surface = reader?.surface
            if (closed || surface == null) return device.close()
            camera = device
            try {
                @Suppress("DEPRECATION") // its successor needs API level 28
                device.createCaptureSession(listOf(surface), SessionCallback(device), handler)
            } catch (error: CameraAccessException) {
                onError("the camera has no images: ${error.message}")
            }
        }

        override fun onDisconnected(device: CameraDevice) {
            device.close()
            onError("another app is using the camera")
        }

        override fun onError(device: CameraDevice, error: Int) {
            device.close()
            onError("the camera failed with error $error")
        }
    }

    private inner class SessionCallback(private val device: CameraDevice) : CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) {
            val surface = reader?.surface
            if (closed || surface == null) return
            try {
                val request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                request.addTarget(surface)
                request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_VIDEO)
                session.setRepeatingRequest(request.build(), null, handler)
            } catch (error: CameraAccessException) {
                onError("the camera has no images: ${error.message}")
            } catch (error: IllegalStateException) {
                onError("the camera was closed: ${error.message}")
            }
        }

        override fun onConfigureFailed(session: CameraCaptureSession) = onError("the camera does not support this image format")
    }
}
