-- A state.db as the first form of the platform made it: one rollout succeeded, one is running.
CREATE TABLE rollouts (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL,
    request_id TEXT UNIQUE, created_at TEXT NOT NULL, finished_at TEXT, body TEXT NOT NULL);
CREATE TABLE deployed (
    model TEXT PRIMARY KEY, version TEXT NOT NULL, rollout_id TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, rollout_id TEXT NOT NULL, model TEXT NOT NULL,
    what TEXT NOT NULL, why TEXT NOT NULL, state TEXT NOT NULL, weight REAL NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
CREATE UNIQUE INDEX one_active ON rollouts (model) WHERE state NOT IN ('succeeded', 'rolled_back', 'failed', 'aborted');
INSERT INTO generation VALUES (1, 7);
INSERT INTO deployed VALUES ('m', '1', 'r1', '2026-02-01T00:00:00+00:00');
INSERT INTO rollouts VALUES
    ('r1', 'm', '1', 'succeeded', NULL, '2026-01-31T23:00:00+00:00', '2026-02-01T00:00:00+00:00', '{"id":"r1"}'),
    ('r2', 'm', '2', 'canary', 'q2', '2026-02-02T00:00:00+00:00', NULL, '{"id":"r2"}');
INSERT INTO audit (at, rollout_id, model, what, why, state, weight, previous, hash) VALUES
    ('2026-02-01T00:00:00+00:00', 'r1', 'm', 'succeeded', 'all steps passed', 'succeeded', 100.0,
     '0000000000000000000000000000000000000000000000000000000000000000', '095a0a6f7597b10bd1c4b3a1f5ff4dda22017b48d108d83e5a070b116aba2485'),
    ('2026-02-02T00:00:00.500000+00:00', 'r2', 'm', 'started', 'by request', 'canary', 5.0,
     '095a0a6f7597b10bd1c4b3a1f5ff4dda22017b48d108d83e5a070b116aba2485', 'af177425ae447ec1f6ec67a99d2f039370ac32e4aee6e80f995ff486403a03ba');
