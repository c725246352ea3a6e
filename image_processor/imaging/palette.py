"""A palette for translucent colours, by median cut in four dimensions.

Pillow's only method for alpha (octree) reduces it to 16 steps: a soft shadow turns into rings.
"""

import heapq

Colour = tuple[int, int, int, int]
_Counted = list[tuple[Colour, int]]


def median_cut(pixels: list[tuple[int, Colour]], wanted: int) -> tuple[list[Colour], dict[int, int]]:
    """A palette of at most `wanted` colours (red, green, blue, alpha), and the index of each given colour in it.

    `pixels` are pairs of count and colour. The keys of the indexes are RGBA values as 32-bit numbers, red lowest; 0
    (clear) always has the first index to itself. Colours are weighted by their alpha: the hue of a faint pixel matters
    little.
    """
    counted = [(colour, count) for count, colour in pixels if colour[3]]
    if not counted:
        return [(0, 0, 0, 0)], {0: 0}
    heap = [_weighed(counted, 0)]
    serial = 1
    while len(heap) < wanted - 1 and heap[0][0] < 0:
        _, _, axis, box = heapq.heappop(heap)
        for half in _halves(box, axis):
            heapq.heappush(heap, _weighed(half, serial))
            serial += 1
    indexes = {0: 0}
    for index, (_, _, _, box) in enumerate(heap, start=1):
        indexes.update((r | g << 8 | b << 16 | a << 24, index) for (r, g, b, a), _ in box)
    return [(0, 0, 0, 0), *(_mean(box) for _, _, _, box in heap)], indexes


def _weighed(box: _Counted, serial: int) -> tuple[float, int, int, _Counted]:
    """The gain of splitting `box` (negative, for the heap; 0 when it has one colour), and along which axis."""
    alpha = max(colour[3] for colour, _ in box) / 255
    spans = [max(colour[axis] for colour, _ in box) - min(colour[axis] for colour, _ in box) for axis in range(4)]
    visible = [span * alpha for span in spans[:3]] + [float(spans[3])]
    axis = max(range(4), key=visible.__getitem__)
    # A palette by area alone loses the colours of small parts altogether.
    return -visible[axis] * sum(count for _, count in box) ** 0.5, serial, axis, box


def _halves(box: _Counted, axis: int) -> tuple[_Counted, _Counted]:
    box.sort(key=lambda item: item[0][axis])
    lowest, highest = box[0][0][axis], box[-1][0][axis]
    middle = (lowest + highest) / 2
    at = next(index for index, (colour, _) in enumerate(box) if colour[axis] > middle)
    return box[:at], box[at:]


def _mean(box: _Counted) -> Colour:
    total = sum(count for _, count in box)
    weight = sum(count * colour[3] for colour, count in box) or 1
    red, green, blue = (sum(colour[axis] * colour[3] * count for colour, count in box) // weight for axis in range(3))
    return red, green, blue, round(sum(colour[3] * count for colour, count in box) / total)
