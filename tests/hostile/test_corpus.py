"""Is the corpus as large and as varied as it says? Counted, so that it cannot shrink unnoticed."""

from __future__ import annotations

from collections import Counter

from hostile_corpus.artifact import Effect
from hostile_corpus.corpus import ALL, BOMBS, LIVE


def test_there_are_at_least_sixty_and_they_differ_in_format_and_in_effect() -> None:
    formats = Counter(artifact.format for artifact in ALL)
    effects = Counter(artifact.effect for artifact in ALL)
    print(f"{len(ALL)} hostile artifacts: {dict(formats)}")
    print({effect.value: count for effect, count in effects.items()})
    assert len(ALL) >= 60
    assert len(LIVE) >= 60
    assert formats.keys() == {"keras", "hdf5", "saved_model", "onnx"}
    assert min(formats.values()) >= 12
    assert effects.keys() == set(Effect)
    assert all(effects[effect] >= 4 for effect in Effect)


def test_each_has_a_name_of_its_own_and_what_is_not_shown_live_says_why() -> None:
    assert len({artifact.name for artifact in ALL}) == len(ALL)
    for artifact in ALL:
        assert artifact.codes, artifact.name
        assert bool(artifact.why) == (artifact.effect is Effect.STRUCTURE), artifact.name
    assert all(artifact.bomb for artifact in BOMBS)
