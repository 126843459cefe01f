"""The shared layer against equations 4.1 to 4.4 (also 5.1 to 5.4, 6.6, and 6.9), head by head."""

import pytest
import torch
import torch.nn.functional as F

from atpn.model.decoder_layer import DecoderLayer

DIM, HEADS, TOKENS, MEMORY = 12, 3, 5, 7


def attention(layer, query, key, value):
    """Multi-head attention written out; returns the result and the mean weights."""
    q_weight, k_weight, v_weight = layer.in_proj_weight.chunk(3)
    q_bias, k_bias, v_bias = layer.in_proj_bias.chunk(3)
    size = DIM // HEADS
    outputs, maps = [], []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        q = query @ q_weight[part].T + q_bias[part]
        k = key @ k_weight[part].T + k_bias[part]
        v = value @ v_weight[part].T + v_bias[part]
        weights = torch.softmax(q @ k.T / size**0.5, dim=-1)  # 4.1 and 4.3
        outputs.append(weights @ v)
        maps.append(weights)
    joined = torch.cat(outputs, dim=-1) @ layer.out_proj.weight.T + layer.out_proj.bias  # 4.2 and 4.4
    return joined, torch.stack(maps).mean(dim=0)


def norm(layer, x):
    return F.layer_norm(x, (DIM,), layer.weight, layer.bias)


def by_hand(layer, tokens, queries, memory, position):
    among = across = None
    if layer.self_attention is not None:
        normed = norm(layer.self_norm, tokens)
        attended, among = attention(layer.self_attention, normed + queries, normed + queries, normed)
        tokens = tokens + attended
    if layer.cross_attention is not None:
        query = norm(layer.cross_norm, tokens) + queries
        attended, across = attention(layer.cross_attention, query, memory + position, memory)
        tokens = tokens + attended
    first, last = layer.feed[0], layer.feed[2]
    assert first.weight.shape == (4 * DIM, DIM)
    hidden = F.gelu(norm(layer.feed_norm, tokens) @ first.weight.T + first.bias)
    return tokens + hidden @ last.weight.T + last.bias, among, across


@pytest.mark.parametrize("blocks", [(True, True), (True, False), (False, True), (False, False)])
def test_a_layer_follows_the_equations(blocks):
    torch.manual_seed(0)
    layer = DecoderLayer(DIM, HEADS, *blocks).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    tokens, queries = torch.randn(2, TOKENS, DIM), torch.randn(TOKENS, DIM)
    memory, position = torch.randn(2, MEMORY, DIM), torch.randn(MEMORY, DIM)
    with torch.no_grad():
        updated, weights = layer(tokens, queries, memory, position, weights=True)
        plain, none = layer(tokens, queries, memory, position)
    assert none == (None, None)
    torch.testing.assert_close(plain, updated, atol=1e-5, rtol=1e-5)
    for i in range(2):
        expected, among, across = by_hand(layer, tokens[i], queries, memory[i], position)
        torch.testing.assert_close(updated[i], expected, atol=1e-5, rtol=1e-5)
        for found, wanted in zip(weights, (among, across), strict=True):
            assert (found is None) == (wanted is None)
            if wanted is not None:
                torch.testing.assert_close(found[i], wanted, atol=1e-5, rtol=1e-5)
