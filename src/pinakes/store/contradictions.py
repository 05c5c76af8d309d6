"""Statements that find rows which contradict each other. Each yields code, project id, subject and message.

Counting rules: a collection counts its memberships whose asset or model is live, also while the collection itself is in
the trash; a tag counts the live assets and models that have it, and exists as long as
there are any.
"""

from pinakes.store import looks

# The plans are pinned with CROSS JOIN: from the few to the many, members by number.
_LIVE_MEMBERS = """
    (SELECT count(*) FROM collection_{noun} m CROSS JOIN {noun} x
     WHERE m.owner = c.owner AND m.collection = c.number
     AND x.number = m.{noun} AND x.owner = m.owner AND x.deleted_at IS NULL)
"""

_LIVE_TAGGED = """
    (SELECT count(*) FROM {noun}_tag i CROSS JOIN {noun} x
     WHERE i.owner = t.owner AND i.name = t.name
     AND x.number = i.{noun} AND x.owner = i.owner AND x.deleted_at IS NULL)
"""

_WRONG_NUMBER = "; lists show these, the number is wrong: make a backup and report it"


def _statement(code: str, found: str) -> str:
    """`found` selects owner, subject and message."""
    return f"""
        SELECT '{code}', coalesce(p.id, ''), f.subject, f.message
        FROM ({found}) f LEFT JOIN project p ON p.number = f.owner
    """


def _member_count(noun: str) -> str:
    return _statement(
        f"{noun}-count",
        f"""
        SELECT c.owner, c.id AS subject,
            'the collection states {noun}_count ' || c.stated || ' and has ' || c.counted || ' live{_WRONG_NUMBER}'
            AS message
        FROM (
            SELECT owner, id, {noun}_count AS stated, {_LIVE_MEMBERS.format(noun=noun)} AS counted FROM collection c
        ) c
        WHERE c.stated <> c.counted
        """,
    )


_TAG_COUNT = _statement(
    "tag-count",
    f"""
    SELECT t.owner, t.name AS subject,
        'the tag states item_count ' || t.stated || ' and ' || t.counted || ' live items have it{_WRONG_NUMBER}'
            AS message
    FROM (
        SELECT owner, name, item_count AS stated,
            {_LIVE_TAGGED.format(noun="asset")} + {_LIVE_TAGGED.format(noun="model")} AS counted
        FROM tag t
    ) t
    WHERE t.stated <> t.counted OR t.stated = 0
    """,
)


def _tag_unknown(noun: str) -> str:
    return _statement(
        "tag-count",
        f"""
        SELECT DISTINCT i.owner, i.name AS subject,
            'live items have the tag, but the list of tags lacks it: make a backup and report it' AS message
        FROM {noun}_tag i CROSS JOIN {noun} x
        WHERE x.number = i.{noun} AND x.owner = i.owner AND x.deleted_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.owner = i.owner AND t.name = i.name)
        """,
    )


def _cover(holder: str) -> str:
    return _statement(
        "thumbnail-missing-asset",
        f"""
        SELECT h.owner, h.id AS subject,
            'its thumbnail is ' || h.thumbnail_asset_id || ', which does not exist' AS message
        FROM {holder} h
        WHERE h.thumbnail_asset_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM asset a WHERE a.owner = h.owner AND a.id = h.thumbnail_asset_id)
        """,
    )


def _dangling(code: str, table: str, noun: str, holder: str) -> str:
    """Rows of `table` whose `noun` does not exist. `holder` is the column of what they belong to."""
    found = f"SELECT h.id FROM {holder} h WHERE h.owner = m.owner AND h.number = m.{holder}"
    name = f"coalesce(({found}), '{holder} number ' || m.{holder})"
    return _statement(
        code,
        f"""
        SELECT m.owner, {name} AS subject,
            '{table} names {noun} number ' || m.{noun} || ', which does not exist' AS message
        FROM {table} m
        WHERE NOT EXISTS (SELECT 1 FROM {noun} x WHERE x.number = m.{noun} AND x.owner = m.owner)
        """,
    )


def _jobless(noun: str, status: str, *kinds: str) -> str:
    """Rows that wait for a job which does not exist: they would wait for ever."""
    wanted = ", ".join(f"'{kind}'" for kind in kinds)
    return _statement(
        "job-missing",
        f"""
        SELECT x.owner, x.id AS subject, 'it is {status}, but there is no job that would end that' AS message
        FROM {noun} x WHERE x.status = '{status}'
        AND NOT EXISTS (SELECT 1 FROM job j WHERE j.owner = x.owner AND j.subject = x.id AND j.kind IN ({wanted}))
        """,
    )


# What has a job to link it, or is in the trash and may be half gone, is left out.
_LINKED_WRONGLY = """
    SELECT w.owner, x.id AS subject,
        'its link to model ' || k.id || ' {message}: make a backup and report it' AS message
    FROM ({wrong}) w CROSS JOIN asset x ON x.number = w.asset AND x.owner = w.owner AND x.deleted_at IS NULL
    CROSS JOIN model k ON k.number = w.model AND k.owner = w.owner AND k.deleted_at IS NULL
    WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.owner = w.owner AND j.subject = k.id AND j.kind = 'link')
"""
_LINK_MISSING = """
    SELECT DISTINCT a.owner, u.asset, a.model
    FROM model_alias a CROSS JOIN asset_use u ON u.owner = a.owner AND u.key = a.key
    WHERE NOT EXISTS
        (SELECT 1 FROM asset_ingredient i WHERE i.owner = a.owner AND i.model = a.model AND i.asset = u.asset)
"""
_LINK_UNFOUNDED = """
    SELECT i.owner, i.asset, i.model FROM asset_ingredient i
    WHERE NOT EXISTS (SELECT 1 FROM asset_use u CROSS JOIN model_alias a
        WHERE u.owner = i.owner AND u.asset = i.asset AND a.owner = i.owner AND a.model = i.model AND a.key = u.key)
"""


def _unsearchable(noun: str) -> str:
    return _statement(
        "search-missing",
        f"""
        SELECT x.owner, x.id AS subject, 'no search finds it by its words: make a backup and report it'
            AS message
        FROM {noun} x
        WHERE x.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM {noun}_text_docsize d WHERE d.id = x.number)
        """,
    )


_UNSEEN = _statement(
    "search-missing",
    f"""
    SELECT x.owner, x.id AS subject, 'no search finds all that looks like it: make a backup and report it' AS message
    FROM asset x
    WHERE x.look IS NOT NULL AND 4 <> (
        SELECT count(*) FROM {looks.BANDS} b
        CROSS JOIN asset_look l ON l.owner = x.owner AND l.band = {looks.BAND} AND l.asset = x.number)
    """,
)

CONTRADICTIONS = (
    _member_count("asset"),
    _member_count("model"),
    _TAG_COUNT,
    _tag_unknown("asset"),
    _tag_unknown("model"),
    _cover("collection"),
    _cover("model"),
    _dangling("thumbnail-missing-asset", "model_example", "asset", "model"),
    _dangling("example-without-model", "model_example", "model", "asset"),
    _dangling("member-without-asset", "collection_asset", "asset", "collection"),
    _dangling("member-without-model", "collection_model", "model", "collection"),
    _dangling("member-without-collection", "collection_asset", "collection", "asset"),
    _dangling("member-without-collection", "collection_model", "collection", "model"),
    _dangling("tagging-without-item", "asset_tag", "asset", "asset"),
    _dangling("tagging-without-item", "model_tag", "model", "model"),
    _dangling("link-without-asset", "asset_ingredient", "asset", "model"),
    _dangling("link-without-model", "asset_ingredient", "model", "asset"),
    _dangling("link-without-asset", "asset_use", "asset", "asset"),
    _dangling("link-without-model", "model_alias", "model", "model"),
    _statement("link", _LINKED_WRONGLY.format(message="is missing", wrong=_LINK_MISSING)),
    _statement("link", _LINKED_WRONGLY.format(message="follows from nothing", wrong=_LINK_UNFOUNDED)),
    _unsearchable("asset"),
    _unsearchable("model"),
    _UNSEEN,
    _dangling("search-without-asset", "asset_look", "asset", "asset"),
    _jobless("asset", "pending", "probe"),
    _jobless("upload", "validating", "fetch", "upload"),
)
