-- A state as the second form of the platform made it, before Alembic: one rollout succeeded, one is running.
CREATE TABLE rollouts (id TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL,
    request_id TEXT UNIQUE, created_at TEXT NOT NULL, finished_at TEXT, body TEXT NOT NULL);
CREATE TABLE deployed (model TEXT PRIMARY KEY, version TEXT NOT NULL, rollout_id TEXT NOT NULL, at TEXT NOT NULL,
    previous TEXT, previous_until TEXT);
CREATE TABLE audit (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, rollout_id TEXT NOT NULL,
    model TEXT NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL, state TEXT NOT NULL, weight DOUBLE PRECISION NOT NULL,
    detail TEXT NOT NULL, form INTEGER NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE tokens (id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, hash TEXT NOT NULL,
    created_at TEXT NOT NULL, revoked_at TEXT, rate_per_s DOUBLE PRECISION);
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, term INTEGER NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL);
CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), value BIGINT NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE UNIQUE INDEX one_running ON rollouts (model) WHERE state NOT IN
    ('queued', 'aborted', 'concluded', 'failed', 'rolled_back', 'succeeded', 'superseded');
CREATE INDEX rollouts_by_time ON rollouts (created_at);
CREATE INDEX audit_by_model ON audit (model, seq);
INSERT INTO meta VALUES ('schema', '2');
INSERT INTO generation VALUES (1, 7);
INSERT INTO rollouts VALUES
    ('r1', 'm', '2', 'succeeded', NULL, '2026-03-01T12:00:00+00:00', '2026-03-01T12:00:00+00:00', '{"id":"r1"}'),
    ('r2', 'm', '3', 'canary', 'q2', '2026-03-01T12:00:00+00:00', NULL, '{"id":"r2"}');
INSERT INTO deployed VALUES ('m', '2', 'r1', '2026-03-01T12:00:00+00:00', '1', '2026-03-02T12:00:00+00:00');
INSERT INTO tokens VALUES
    ('t', 'ops', 'operate', '0000000000000000000000000000000000000000000000000000000000000000',
     '2026-03-01T12:00:00+00:00', NULL, 2.5);
INSERT INTO leases VALUES ('controller', 'host-a', 3, 1772366400);
INSERT INTO audit VALUES
    (1, '2026-03-01T12:00:00+00:00', 'ann', 'r1', 'm', 'succeeded', 'because', 'succeeded', 100.0, '{"n":7}', 2,
     '0000000000000000000000000000000000000000000000000000000000000000', '014e6330e34faf9dd65c20cde00e2787783d04b6980e68b9efc91062bf7b0bf0'),
    (2, '2026-03-01T12:00:00+00:00', 'ann', 'r2', 'm', 'started', 'because', 'canary', 5.0, '{}', 2,
     '014e6330e34faf9dd65c20cde00e2787783d04b6980e68b9efc91062bf7b0bf0', 'dc3f6f101f7d35aa1fd7bf75a7b65d1fa6ec2ad7a9122194b9694b012bc03529');
