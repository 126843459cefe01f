/** Where frames come from: the camera, a video file, a picture. Errors say what the user can do. */

/** Maximum side of a stream's frames, pixels; larger ones are scaled down. */
const MAX_STREAM_SIDE = 1280;

/** Maximum side of a picture, pixels. */
const MAX_PICTURE_SIDE = 4096;

const CAMERA_ERRORS: Readonly<Record<string, string>> = {
  NotAllowedError: "The camera is not allowed. Allow it for this page in the browser's address bar, then try again.",
  NotFoundError: "No camera was found. Connect one, or open a video or a picture.",
  NotReadableError: "The camera cannot be read. Another program may be using it: close that, then try again.",
  OverconstrainedError: "The camera has no suitable size. Try another camera.",
};

/** Open the camera and show it in `video`, if it is still wanted once it is allowed. Error says what to do. */
export async function openCamera(video: HTMLVideoElement, isWanted: () => boolean): Promise<void> {
  // Browsers hide cameras from pages of plain http, localhost excepted.
  if (!("mediaDevices" in navigator)) {
    throw new Error("This browser gives the camera to https pages and localhost only. Open the page by one of these.");
  }
  const size = { width: { ideal: 640 }, height: { ideal: 480 } };
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { ...size, facingMode: "user" }, audio: false });
  } catch (error) {
    throw new Error(cameraError(error));
  }
  if (!isWanted()) {
    endStream(stream);
    return;
  }
  video.srcObject = stream;
  await video.play();
}

/** Return what to say about an error of `getUserMedia`. */
export function cameraError(error: unknown): string {
  const name = error instanceof Error ? error.name : "";
  return CAMERA_ERRORS[name] ?? `The camera does not start: ${error instanceof Error ? error.message : String(error)}`;
}

/** Play a video file in a loop. Error if the browser cannot read it. */
export async function openVideo(video: HTMLVideoElement, file: File): Promise<void> {
  video.src = URL.createObjectURL(file);
  video.loop = true;
  try {
    await video.play();
  } catch {
    throw new Error(
      `${file.name} cannot be read: this browser does not know its format, or the file is damaged. ` +
        "Try MP4 (H.264) or WebM.",
    );
  }
}

/** Release the camera or the file. */
export function closeVideo(video: HTMLVideoElement): void {
  video.pause();
  if (video.srcObject instanceof MediaStream) endStream(video.srcObject);
  video.srcObject = null;
  if (video.src) {
    URL.revokeObjectURL(video.src);
    video.removeAttribute("src");
    video.load();
  }
}

function endStream(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** Read a picture file. Error if the browser cannot read it. */
export async function openPicture(file: File): Promise<ImageBitmap> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(
      `${file.name} cannot be read: it is not a picture that this browser knows, or it is damaged. Try JPEG or PNG.`,
    );
  }
  const scale = MAX_PICTURE_SIDE / Math.max(bitmap.width, bitmap.height);
  return scale >= 1 ? bitmap : createImageBitmap(bitmap, scaledSize(bitmap.width, bitmap.height, scale));
}

/** Return the frame that a video shows. */
export function grabFrame(video: HTMLVideoElement): Promise<ImageBitmap> {
  const { videoWidth: width, videoHeight: height } = video;
  const scale = MAX_STREAM_SIDE / Math.max(width, height);
  return scale >= 1 ? createImageBitmap(video) : createImageBitmap(video, scaledSize(width, height, scale));
}

function scaledSize(width: number, height: number, scale: number): ImageBitmapOptions {
  return {
    resizeWidth: Math.round(width * scale),
    resizeHeight: Math.round(height * scale),
    resizeQuality: "high",
  };
}
