"""Replicas: a handful of drawn faces in the exact layout of each dataset's original distribution."""

from types import SimpleNamespace

import cv2
import h5py
import numpy as np
import pytest
import scipy.io

from edge_runtime.geometry import Intrinsics, angles_to_matrix
from edge_runtime.landmarks import CELEBA_5, COFW_29, IBUG_68, WFLW_98, convert


@pytest.fixture
def replica(draw_sample):
    """Writers of replicas; each returns what was drawn, so that a reader can be held against it."""
    return SimpleNamespace(
        **{
            name: lambda root, _w=writer, **o: _w(DrawnFaces(draw_sample), root, **o)
            for name, writer in WRITERS.items()
        }
    )


class DrawnFaces:
    """Drawn faces, each another one."""

    def __init__(self, draw):
        self._draw, self._rng, self._count = draw, np.random.default_rng(0), 0

    def __call__(self, size=120, scheme=WFLW_98, angles=None):
        """A drawn sample with the landmarks of a scheme."""
        self._count += 1
        sample = self._draw(self._rng, f"face-{self._count}", size, angles=angles)
        object.__setattr__(sample, "landmarks", convert(sample.landmarks, WFLW_98, scheme))
        return sample


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])


def save_pts(path, points):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
    path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{rows}\n}}\n")


def wflw(faces, root, train=3, test=2):
    """The last two training faces share a photograph; test face k has attribute k set."""
    drawn = {}
    for split, count in (("train", train), ("test", test)):
        lines, drawn[split] = [], []
        for i in range(count):
            face = faces()
            name = f"0--Parade/0_Parade_{split}_{min(i, count - 2) if split == 'train' else i}.jpg"
            if not (root / "WFLW_images" / name).exists():
                save(root / "WFLW_images" / name, face.image)
            flags = [int(split == "test" and k == i) for k in range(6)]
            box = [round(v) for v in (*face.landmarks.min(0), *face.landmarks.max(0))]
            lines.append(" ".join(map(str, [*face.landmarks.ravel().tolist(), *box, *flags, name])))
            drawn[split].append(face)
        folder = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"list_98pt_rect_attr_{split}.txt").write_text("\n".join(lines) + "\n")
    return drawn


def ibug300w(faces, root):
    """Every part; AFW with two faces of one photograph, iBUG with the name that holds a blank, a mirrored copy."""
    names = {
        "lfpw/trainset": ["image_0001.png"],
        "lfpw/testset": ["image_0001.png"],
        "helen/trainset": ["100032540_1.jpg", "100032540_1_mirror.jpg"],
        "helen/testset": ["296814969_3.jpg"],
        "afw": ["134212_1.jpg", "134212_2.jpg"],
        "ibug": ["image_092 _01.jpg"],
        "300W/01_Indoor": ["indoor_001.png"],
        "300W/02_Outdoor": ["outdoor_001.png"],
    }
    drawn = {}
    for folder, images in names.items():
        for name in images:
            face = drawn[f"{folder}/{name}"] = faces(scheme=IBUG_68)
            save(root / folder / name, face.image)
            save_pts((root / folder / name).with_suffix(".pts"), face.landmarks + 1)
    return drawn


def cofw(faces, root, train=3, test=2, with_68=True):
    """MATLAB 7.3's way: references to images with reversed axes; the first training image is gray."""
    root.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for split, suffix, count in (("train", "Tr", train), ("test", "T", test)):
        drawn[split] = [faces(scheme=COFW_29) for _ in range(count)]
        with h5py.File(root / f"COFW_{split}_color.mat", "w") as file:
            cells = file.create_dataset(f"Is{suffix}", (1, count), h5py.ref_dtype)
            phis, boxes = np.zeros((87, count)), np.zeros((4, count))
            for i, face in enumerate(drawn[split]):
                image = cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY) if split == "train" and i == 0 else face.image
                cells[0, i] = file.create_dataset(f"#refs#/{suffix}{i}", data=image.T).ref
                occluded = np.arange(29) % 3 == 0
                phis[:, i] = np.concatenate([*(face.landmarks + 1).T, occluded])
                boxes[:, i] = (11, 21, 50, 60)
            file[f"phis{suffix}"], file[f"bboxes{suffix}"] = phis, boxes
    for i in range(test if with_68 else 0):
        folder = root / "COFW68_Data" / "test_annotations"
        folder.mkdir(parents=True, exist_ok=True)
        points = np.random.default_rng(i).uniform(30, 90, (68, 2))
        scipy.io.savemat(folder / f"{i + 1}_points.mat", {"Points": points + 1, "Occ": (np.arange(68) == i)[:, None]})
        drawn.setdefault("test68", []).append(points)
    return drawn


def save_tem(path, points):
    rows = "".join(f"{x:.3f}\t{y:.3f}\n" for x, y in points)
    path.write_text(f"{len(points)}\n{rows}1\n0\n3\n0 1 2\n")


def london(faces, root, count=3):
    """189 points each: the face's landmarks over and over."""
    drawn = {}
    for i in range(count):
        face = faces()
        points = face.landmarks[np.arange(189) % 98]
        save(root / "neutral_front" / f"{i:03d}_03.jpg", face.image)
        save_tem(root / "neutral_front" / f"{i:03d}_03.tem", points)
        drawn[f"{i:03d}"] = points
    return drawn


def merl_rav(faces, root, turned=True):
    """Labels only, AFLW's images beside them; landmark 0 is turned away if `turned`, landmark 1 covered."""
    drawn = {}
    for pose in ("frontal", "left", "lefthalf", "right", "righthalf"):
        for split in ("train", "test"):
            for name in (f"image{len(drawn):05d}", f"image{len(drawn) + 1:05d}_2"):
                face = faces(scheme=IBUG_68)
                points = face.landmarks + 1
                points[1] = -points[1]
                if turned or pose != "frontal":
                    points[0] = -1
                save_pts(root / "merl_rav_labels" / pose / f"{split}set" / "labels" / f"{name}.pts", points)
                save(root / "aflw" / "flickr" / "023"[len(drawn) % 3] / f"{name.partition('_')[0]}.jpg", face.image)
                drawn[pose, split, name] = face
    return drawn


def _mat_beside(path, face, key, y_up=False):
    """3DDFA's parameters of a drawn face: its rotation in a frame with y up and z out of the face, split in x y z."""
    turned = np.diag([1.0, -1.0, -1.0])
    rotation = turned @ face.rotation @ turned
    yaw = -np.arcsin(rotation[0, 2])
    pitch, roll = np.arctan2(rotation[1, 2], rotation[2, 2]), np.arctan2(rotation[0, 1], rotation[0, 0])
    points = (face.landmarks + 1).T
    if y_up:
        points[1] = 451 - points[1]
    if key == "pt3d_68":
        points = np.vstack([points, np.zeros(68)])
    pose = np.array([[pitch, yaw, roll, 200.0, 200.0, 0.0, 1e-3]])
    save(path.with_suffix(".jpg"), face.image)
    scipy.io.savemat(
        path, {key: points.astype(np.float32), "Pose_Para": pose.astype(np.float32), "roi": np.zeros((1, 4))}
    )


def w300lp(faces, root):
    """A photograph per part and one turned copy, with mirror images; LFPW's y runs up."""
    drawn = {}
    names = ("AFW_134212_1", "HELEN_296814969_3", "HELEN_100032540_1", "IBUG_image_003_1", "LFPW_image_test_0001")
    for stem in (*names, "LFPW_image_train_0002"):
        part = stem.partition("_")[0]
        for folder in (part, f"{part}_Flip"):
            for number in (0, 3):
                face = drawn[folder, f"{stem}_{number}"] = faces(450, IBUG_68)
                _mat_beside(root / folder / f"{stem}_{number}.mat", face, "pt2d", y_up=part == "LFPW")
    return drawn


def aflw2000(faces, root):
    """Three faces; the second is turned beyond 99 degrees."""
    drawn = {}
    for number, yaw in ((2, 0.5), (4, 1.0), (6, -0.7)):
        face = drawn[f"image{number:05d}"] = faces(450, IBUG_68, angles=(0.1, yaw, -0.2))
        _mat_beside(root / f"image{number:05d}.mat", face, "pt3d_68")
    content = scipy.io.loadmat(root / "image00004.mat")
    content["Pose_Para"][0, 1] = np.radians(-100)
    scipy.io.savemat(root / "image00004.mat", {k: v for k, v in content.items() if not k.startswith("__")})
    return drawn


def biwi(faces, root):
    """Sequences 01 and 22 with a gap in the numbers; the calibration is the published one."""
    extrinsic = np.array(
        [[0.999947, 0.00432361, 0.00929419], [-0.00446314, 0.999877, 0.0150443], [-0.009228, -0.015085, 0.999844]]
    )
    shift = np.array([-24.0198, 5.8896, -13.2308])
    camera = Intrinsics(517.679, 517.679, 320.0, 240.5)
    drawn = {}
    for sequence in ("01", "22"):
        for frame in (3, 4, 9):
            angles = np.array([0.1, 0.3, -0.2]) * frame / 9
            center = np.array([43.4, -30.7, 900.0 + frame])  # in the depth camera's frame
            seen = extrinsic @ center + shift
            pixel = np.array([camera.fx * seen[0] / seen[2] + camera.cx, camera.fy * seen[1] / seen[2] + camera.cy])
            rotation = angles_to_matrix(angles)
            drawn[sequence, frame] = SimpleNamespace(rotation=rotation, pixel=pixel, reach=camera.fx * 100 / seen[2])
            image = np.full((480, 640, 3), 90, np.uint8)
            cv2.circle(image, tuple(map(int, pixel.round())), 50, (200, 160, 140), -1)
            path = root / sequence / f"frame_{frame:05d}_rgb.png"
            save(path, image)
            rows = [*(extrinsic.T @ rotation), [], center]
            text = "\n".join(" ".join(f"{v:.8f}" for v in row) for row in rows)
            (path.parent / f"frame_{frame:05d}_pose.txt").write_text(text + "\n")
        rows = [
            [517.679, 0, 320],
            [0, 517.679, 240.5],
            [0, 0, 1],
            [],
            [0] * 4,
            [],
            *extrinsic.tolist(),
            [],
            shift,
            [],
            [640, 480],
        ]
        (root / sequence / "rgb.cal").write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n")
    return drawn


def wider_face(faces, root):
    """A crowd with an invalid face and a box without width, an image without faces and its line of zeros, one face."""
    lists = {
        "train": {
            "0--Parade/0_Parade_a_1.jpg": [
                "10 20 30 40 0 0 0 0 0 0",
                "60 20 20 30 2 0 0 1 2 0",
                "5 5 0 9 0 0 0 0 0 0",
                "70 60 40 50 1 0 1 0 1 1",
            ],
            "0--Parade/0_Parade_Parade_0_452.jpg": [],
            "2--Demonstration/2_Demonstration_b_2.jpg": ["40 40 30 30 0 0 0 0 0 0 "],
        },
        "val": {"7--Cheering/7_Cheering_c_3.jpg": ["12 14 50 60 0 1 0 0 0 0 "]},
    }
    for split, photos in lists.items():
        lines = []
        for name, boxes in photos.items():
            save(root / f"WIDER_{split}" / "images" / name, faces().image)
            lines += [name, str(len(boxes)), *(boxes or ["0 0 0 0 0 0 0 0 0 0 "])]
        (root / "wider_face_split").mkdir(parents=True, exist_ok=True)
        (root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt").write_text("\n".join(lines) + "\n\n")
    return lists


def w300vw(faces, root, videos=("001", "114", "203", "410"), frames=6, unlabeled=(3,)):
    """Short videos whose frame n has gray value 30 n; some frames lack labels."""
    drawn = {}
    for video in videos:
        (root / video / "annot").mkdir(parents=True)
        video_file = cv2.VideoWriter(str(root / video / "vid.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (120, 120))
        for number in range(1, frames + 1):
            video_file.write(np.full((120, 120, 3), 30 * number, np.uint8))
            if number not in unlabeled:
                face = drawn[video, number] = faces(scheme=IBUG_68)
                save_pts(root / video / "annot" / f"{number:06d}.pts", face.landmarks + 1)
        video_file.release()
    return drawn


def celeba(faces, root, count=6, edition="celeba"):
    """Images 000001 on, in turn of train, val, test; MAFL's lists hold the first and the second."""
    drawn, rows, boxes = {}, [], []
    for i in range(count):
        name = f"{i + 1:06d}.jpg"
        face = drawn[name] = faces(scheme=CELEBA_5)
        object.__setattr__(face, "landmarks", face.landmarks.round())
        save(root / "Img" / f"img_{edition}" / name, face.image)
        rows.append(f"{name} " + "  ".join(str(int(v)) for v in face.landmarks.ravel()))
        boxes.append(f"{name}    10  20 {0 if i == 0 else 50} 60")
    parts = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    header = " ".join(f"{part}_{axis}" for part in parts for axis in "xy")
    texts = {
        f"Anno/list_landmarks_{edition}.txt": [str(count), header, *rows],
        "Anno/list_bbox_celeba.txt": [str(count), "image_id x_1 y_1 width height", *boxes],
        "Anno/identity_CelebA.txt": [f"{i + 1:06d}.jpg {1000 + i // 2}" for i in range(count)],
        "Eval/list_eval_partition.txt": [f"{i + 1:06d}.jpg {i % 3}" for i in range(count)],
        "MAFL/training.txt": ["000001.jpg"],
        "MAFL/testing.txt": ["000002.jpg"],
    }
    for name, lines in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n")
    return drawn


WRITERS = {
    "wflw": wflw,
    "ibug300w": ibug300w,
    "cofw": cofw,
    "merl_rav": merl_rav,
    "w300lp": w300lp,
    "aflw2000": aflw2000,
    "biwi": biwi,
    "wider_face": wider_face,
    "w300vw": w300vw,
    "celeba": celeba,
    "london": london,
}
