-- Each start of a daemon is an incarnation of the database, with a name that no other ever had: what an
-- attempt leaves behind carries it, and the row of the attempt says which it was. So nothing that another
-- database, or this one before a copy of it was put back, has left there is taken for an attempt of ours.
-- `attempts` is the directory below which its attempts lie. 0 is what was before: 0.1.0 knew none.

CREATE TABLE incarnations (
    incarnation INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL,
    attempts TEXT NOT NULL,
    began_at INTEGER NOT NULL
) STRICT;

ALTER TABLE attempts ADD COLUMN incarnation INTEGER NOT NULL DEFAULT 0;

-- One for each of `flights`, as far as they are known.
ALTER TABLE hooks ADD COLUMN incarnations TEXT NOT NULL DEFAULT '[]';
