"""Thumbnails of the images that fire a shown channel most, where the first pass made none."""

from __future__ import annotations

from collections import Counter

from featreport.collect.job import Job
from featreport.images.decode import ImageUnusable, decode
from featreport.images.pictures import encode_photo
from featreport.results.schema import FeatureMaps, ImageFile

MOST = 40  # more of them nobody looks at, and each takes some 3 kB


def of_the_loudest(
    job: Job, maps: list[FeatureMaps], files: list[ImageFile]
) -> tuple[list[ImageFile], dict[str, str]]:
    """Return the files, those with a thumbnail that are named most among the shown channels, and the new pictures."""
    refs = {ref.name: ref for ref in job.run.images}
    wanted = Counter(
        number for shown in maps for number in shown.loudest if number is not None and number < len(files)
    )
    files = list(files)
    pictures: dict[str, str] = {}
    for number, _ in sorted(wanted.items(), key=lambda item: (-item[1], item[0])):
        file = files[number]
        if file.picture is not None or file.name not in refs or len(pictures) >= MOST:
            continue
        try:
            key, uri = encode_photo(decode(refs[file.name], job.run.transform.color).image)
        except ImageUnusable:  # it was usable a moment ago; what is only shown spoils nothing
            continue
        pictures[key] = uri
        files[number] = file.model_copy(update={"picture": key})
    return files, pictures
