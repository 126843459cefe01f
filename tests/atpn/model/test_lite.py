"""ATPN-lite: the architecture for slow devices."""

import torch

from atpn.model import ATPN, ATPNConfig, load_checkpoint, save_checkpoint
from atpn.model.branches import VectorPose
from atpn.model.complexity import complexity
from atpn.model.config import ARCHITECTURES
from atpn.model.layers import HardSwish, SqueezeExcite
from atpn.model.scheme_conversion import SchemeConversion
from edge_runtime.landmarks import IBUG_68, WFLW_98

SHAPE = torch.rand(98, 2, generator=torch.Generator().manual_seed(0))


def lite(**fields):
    torch.manual_seed(0)
    return ATPN(ATPNConfig(**{**ARCHITECTURES["lite"], **fields}), SHAPE).eval()


def test_the_face_vector_learns_where_all_its_sums_are_negative():
    """Trained with a ReLU, all of it became zero, and landmarks were read from the mean face's places alone."""
    model = lite()
    torch.nn.init.constant_(model.landmark_branch.gather.bias, -1.4)
    model.face_embedding(torch.rand(2, 3, 112, 112) * 255).sum().backward()
    assert model.landmark_branch.gather.bias.grad.abs().min() > 0


def test_it_has_no_layer_that_slow_devices_are_slow_with():
    model = lite()
    costly = [name for name, module in model.named_modules() if isinstance(module, HardSwish | SqueezeExcite)]
    assert costly == ["landmark_branch.activation"]  # on one number per channel, which costs nothing


def test_it_computes_less_than_a_third_of_the_default():
    costs = [complexity(model) for model in (ATPN(ATPNConfig(), SHAPE), lite())]
    for measure in ("macs", "parameters"):
        default, small = (sum(getattr(cost, measure) for cost in parts.values()) for parts in costs)
        assert small < default / 3


def test_its_pose_stays_with_another_schemes_landmarks_as_far_as_they_tell_it(images):
    model, conversion = lite(), SchemeConversion.between(WFLW_98, IBUG_68, SHAPE)
    torch.nn.init.normal_(model.pose_branch.output.weight)
    with torch.no_grad():
        landmarks = model.pose_branch.hidden[0].weight[:, -2 * 98 :].unflatten(1, (98, 2))
        landmarks.copy_((landmarks.mT @ (torch.linalg.pinv(conversion.places) @ conversion.places)).mT)
        torch.testing.assert_close(model.converted(conversion)(images).pose, model(images).pose, rtol=1e-3, atol=1e-4)


def test_it_gives_what_the_default_gives(images):
    with torch.no_grad():
        for mine, other in zip(lite()(images), ATPN(ATPNConfig(), SHAPE).eval()(images), strict=True):
            assert mine.shape == other.shape
            assert mine.dtype == other.dtype == torch.float32


def test_pose_is_read_from_vector_and_landmarks_alone(images):
    model = lite()
    assert isinstance(model.pose_branch, VectorPose)
    torch.nn.init.normal_(model.pose_branch.output.weight)
    with torch.no_grad():
        embedding = model.embed(images)
        landmarks, _ = model.landmark_branch.read(embedding)
        pose = model.pose_branch(embedding.vector, landmarks)
        torch.testing.assert_close(model(images).pose, pose)
        assert not torch.equal(model.pose_branch(embedding.vector, landmarks + 0.1), pose)
        assert not torch.equal(model.pose_branch(embedding.vector + 0.1, landmarks), pose)
    assert pose.abs().max() < torch.pi


def test_a_checkpoint_keeps_the_architecture(tmp_path, images):
    model = lite(width=0.25)
    save_checkpoint(tmp_path / "lite.safetensors", model, {})
    read, _ = load_checkpoint(tmp_path / "lite.safetensors")
    assert read.config == model.config
    with torch.no_grad():
        torch.testing.assert_close(read.eval()(images), model(images))
