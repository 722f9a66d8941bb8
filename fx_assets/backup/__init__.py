"""Backups of a home at any fsspec URL, and the way back.

manifest   what one backup holds: its form and its bytes, no storage
objects    the content: pieces of files, each named by its sha256
kept       the backups at one URL: which are finished, whether they are whole, which go
home       what of a home is copied, and in which order
reading    one file as it stood at one moment, while others write
postgres   the service's tables in PostgreSQL (FX_STATE_URL)
make       the backup
restore    the way back

At the URL:

    objects/ab/<sha256>             a piece of a file, at most 8 MB; written once, shared by all backups
    backups/<id>.begun              a backup that runs, or was interrupted
    backups/<id>-<hash>.json        its manifest, written last: without it there is no backup

Importing this package loads none of them.
"""
