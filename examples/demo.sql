-- The tables that the samples in triggers/ read and mark. Run once, when the database does not exist yet.
-- Names and addresses are made up; example.com belongs to nobody (RFC 2606).

CREATE TABLE users (
  id       INTEGER PRIMARY KEY,
  email    TEXT    NOT NULL UNIQUE,
  name     TEXT    NOT NULL,
  children INTEGER NOT NULL DEFAULT 0,
  status   BOOLEAN NOT NULL DEFAULT false,  -- true: mass-mail has sent its mail
  sent_at  TEXT,                            -- UTC
  bounced       BOOLEAN NOT NULL DEFAULT false,  -- true: the sample bounces has found that nobody is there
  bounced_at    TEXT,                            -- UTC
  bounce_reason TEXT,
  soft_bounces  INTEGER NOT NULL DEFAULT 0       -- mails that did not arrive for now
);

WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
INSERT INTO users (id, email, name, children)
SELECT n,
       printf('user%05d@example.com', n),
       substr('赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜', 1 + n % 32, 1)
         || substr('子雨梓浩思宇欣嘉一晓', 1 + (n / 32) % 10, 1)
         || substr('涵轩怡然辰萱博文宁悦', 1 + (n / 320) % 10, 1),
       max(0, n % 7 - 4)
FROM numbers;

-- The rows that wait, and only they: the index shrinks as the mails go out.
CREATE INDEX users_waiting ON users (id) WHERE status = false;

CREATE TABLE activities (
  id        INTEGER PRIMARY KEY,
  title     TEXT NOT NULL,
  place     TEXT NOT NULL,
  starts_at TEXT NOT NULL                   -- Beijing time
);

-- Two a day from today on, for four weeks.
WITH RECURSIVE days (d) AS (SELECT 0 UNION ALL SELECT d + 1 FROM days WHERE d < 27)
INSERT INTO activities (id, title, place, starts_at)
SELECT 1 + 2 * d, '晨读会', '鼓楼书店', date('now', '+8 hours', '+' || d || ' days') || ' 14:00:00' FROM days
UNION ALL
SELECT 2 + 2 * d, '胡同漫步', '钟楼广场', date('now', '+8 hours', '+' || d || ' days') || ' 16:30:00' FROM days;

CREATE TABLE signups (
  id          INTEGER PRIMARY KEY,
  activity_id INTEGER NOT NULL REFERENCES activities (id),
  user_id     INTEGER NOT NULL REFERENCES users (id),
  UNIQUE (activity_id, user_id)
);

-- Five for each activity.
WITH seats (seat) AS (VALUES (1), (2), (3), (4), (5))
INSERT INTO signups (activity_id, user_id)
SELECT activities.id, 1 + (activities.id * 37 + seat * 101) % 10000 FROM activities, seats;

CREATE TABLE orders (
  id         INTEGER PRIMARY KEY,
  user_id    INTEGER NOT NULL REFERENCES users (id),
  product    TEXT    NOT NULL,
  cents      INTEGER NOT NULL,
  ordered_at TEXT    NOT NULL               -- UTC
);

CREATE INDEX orders_by_time ON orders (ordered_at);

-- One every 40 minutes by one of fifty users, from three weeks ago to one week ahead, so that the first report has
-- something to tell.
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1007)
INSERT INTO orders (user_id, product, cents, ordered_at)
SELECT 1 + (n * 37) % 50,
       CASE n % 4 WHEN 0 THEN '茉莉花茶' WHEN 1 THEN '豌豆黄' WHEN 2 THEN '冰糖葫芦' ELSE '兔儿爷' END,
       1200 + (n * 7919) % 6800,
       datetime('now', '-21 days', '+' || (n * 40) || ' minutes')
FROM numbers;

CREATE TABLE reminders (
  id        INTEGER PRIMARY KEY,
  email     TEXT    NOT NULL,
  name      TEXT    NOT NULL,
  note      TEXT    NOT NULL,
  remind_at TEXT    NOT NULL,               -- UTC; the minute that the user chose
  sent      BOOLEAN NOT NULL DEFAULT false,
  sent_at   TEXT                            -- UTC
);

-- Those that are still to come, in the order of their time: whoever asks every second what is due reads no other row.
CREATE INDEX reminders_to_come ON reminders (remind_at, id) WHERE sent = false;

-- One every five minutes for the next four hours.
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 48)
INSERT INTO reminders (email, name, note, remind_at)
SELECT email, name,
       CASE n % 4 WHEN 0 THEN '喝一杯水' WHEN 1 THEN '站起来走走' WHEN 2 THEN '给家里打电话' ELSE '收晾在外面的衣服' END,
       strftime('%Y-%m-%d %H:%M:00', 'now', '+' || (5 * n) || ' minutes')
FROM numbers JOIN users ON users.id = n;

CREATE TABLE comments (
  id         INTEGER PRIMARY KEY,
  user_id    INTEGER NOT NULL REFERENCES users (id),
  text       TEXT    NOT NULL,
  deleted_at TEXT                           -- UTC; when the user deleted it. The sample `purge` deletes it for good
);

-- Every third is deleted, one an hour, from 60 days ago on.
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
INSERT INTO comments (id, user_id, text, deleted_at)
SELECT n, 1 + (n * 61) % 10000, '第 ' || n || ' 条评论',
       CASE WHEN n % 3 = 0 THEN datetime('now', '-60 days', '+30 minutes', '+' || (n / 3) || ' hours') END
FROM numbers;

-- The deleted ones, and only they.
CREATE INDEX comments_deleted ON comments (deleted_at) WHERE deleted_at IS NOT NULL;

-- What users see in the app; each is told of an activity once.
CREATE TABLE notifications (
  id          INTEGER PRIMARY KEY,
  user_id     INTEGER NOT NULL REFERENCES users (id),
  activity_id INTEGER NOT NULL REFERENCES activities (id),
  text        TEXT    NOT NULL,
  created_at  TEXT    NOT NULL,             -- UTC
  UNIQUE (user_id, activity_id)
);

-- Files in var/uploads. With a comment go its rows, and the sample `orphaned-files` finds what lies there without one.
CREATE TABLE attachments (
  id         INTEGER PRIMARY KEY,
  comment_id INTEGER NOT NULL REFERENCES comments (id) ON DELETE CASCADE,
  file       TEXT    NOT NULL UNIQUE
);

INSERT INTO attachments (comment_id, file) SELECT id, 'photo-' || id || '.jpg' FROM comments WHERE id % 500 = 1;

-- Who agreed in the mini program to be told of an activity, once each: WeChat takes one message for it.
CREATE TABLE subscriptions (
  id          INTEGER PRIMARY KEY,
  openid      TEXT    NOT NULL,
  activity_id INTEGER NOT NULL REFERENCES activities (id),
  title       TEXT    NOT NULL,
  place       TEXT    NOT NULL,
  starts_at   TEXT    NOT NULL,             -- Beijing time
  sent        BOOLEAN NOT NULL DEFAULT false,
  error       TEXT                          -- why it will never be sent
);

INSERT INTO subscriptions (openid, activity_id, title, place, starts_at)
SELECT printf('o00000000000000000000%07d', signups.user_id), activities.id, title, place, strftime('%Y-%m-%d %H:%M', starts_at)
FROM signups JOIN activities ON activities.id = activity_id;
