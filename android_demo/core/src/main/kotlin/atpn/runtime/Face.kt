package atpn.runtime

/** State of a face in the tracking loop. */
enum class TrackState {
    /** Found by the detector in this frame. */
    DETECTED,

    /** Tracked from the previous frame's landmarks, without a detector. */
    TRACKED,
}

/**
 * Head orientation in the camera frame (x right, y down, z forward, away from the camera).
 *
 * [matrix] is (3, 3), row by row, and maps head coordinates to camera coordinates; it is the identity for an upright
 * head that faces the camera. Angles are intrinsic rotations about the head's own axes, first yaw (y), then pitch (x),
 * then roll (z). Signs: pitch > 0 looks up; yaw > 0 turns to the subject's left (the image's right); roll > 0 tilts the
 * head clockwise as seen in the image (toward the subject's left shoulder).
 */
class Pose(val matrix: DoubleArray) {
    /** (pitch, yaw, roll) in radians. */
    val angles: DoubleArray get() = matrixToAngles(matrix)
}

/** One face in one frame. */
class Face(
    /** Constant while the face is tracked; see [FaceTracker]. */
    val id: Int,
    val state: TrackState,
    /** x0, y0, x1, y1 ... in pixels of the frame; smoothed if smoothing is on. */
    val landmarks: DoubleArray,
    /** Standard deviation of each landmark in pixels of the frame. */
    val uncertainty: DoubleArray,
    val pose: Pose,
    /** Probability in [0, 1] that the crop holds a face. */
    val confidence: Double,
    /** Input crop of the network. */
    val roi: Roi,
    /** Unit vector from the camera to the center of the face, camera frame. */
    val direction: DoubleArray,
    /** Frames since this face was detected; 0 in the frame of its detection. */
    val age: Int,
    /** Points of the template, as the landmarks; null for a model that gives landmarks only. */
    val points: DoubleArray?,
    /** Standard deviation of each point in pixels of the frame. */
    val pointsUncertainty: DoubleArray?,
    /**
     * Expression coefficients in [0, 1] by ARKit's names, less the resting face's after [FaceTracker.calibrateNeutral];
     * null for a model without them.
     */
    val expressions: Map<String, Double>?,
    /** Yaw and pitch of the subject's left eye, then of the right one, radians, camera frame; null as [expressions]. */
    val gaze: DoubleArray?,
)
