"""A palette for translucent colours, by median cut in four dimensions. Pure: knows no image library.

Pillow's only method that knows alpha (octree) leaves 16 steps of it: a soft shadow turns into rings.
"""

import heapq

Colour = tuple[int, int, int, int]
_Counted = list[tuple[Colour, int]]


def median_cut(pixels: list[tuple[int, Colour]], wanted: int) -> tuple[list[Colour], dict[int, int]]:
    """At most `wanted` colours (red, green, blue, alpha) for `pixels`, and the place of each of them in that list.

    `pixels` has how often each colour occurs. Places are found by RGBA values as 32-bit numbers, red lowest; 0 (clear)
    always has the first place to itself. Colours count by how visible they are: a faint pixel's hue matters little, its
    alpha does.
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
    places = {0: 0}
    for place, (_, _, _, box) in enumerate(heap, start=1):
        places.update((r | g << 8 | b << 16 | a << 24, place) for (r, g, b, a), _ in box)
    return [(0, 0, 0, 0), *(_mean(box) for _, _, _, box in heap)], places


def _weighed(box: _Counted, serial: int) -> tuple[float, int, int, _Counted]:
    """How much is to be won by splitting `box` (negative, for the heap; 0 when it cannot be), and along which axis."""
    alpha = max(colour[3] for colour, _ in box) / 255
    spans = [max(colour[axis] for colour, _ in box) - min(colour[axis] for colour, _ in box) for axis in range(4)]
    visible = [span * alpha for span in spans[:3]] + [float(spans[3])]
    axis = max(range(4), key=visible.__getitem__)
    # Rare colours matter less than their area says, but a palette by area alone forgets small parts altogether.
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
