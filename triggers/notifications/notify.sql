-- Those of tomorrow, as the clock in the trigger's zone has it.
INSERT INTO notifications (user_id, activity_id, text, created_at)
SELECT signups.user_id, activities.id,
       '明天 ' || substr(activities.starts_at, 12, 5) || '：' || activities.title || '，' || activities.place,
       :now
FROM signups JOIN activities ON activities.id = signups.activity_id
WHERE date(activities.starts_at) = date(:fire_time_local, '+1 day')
ON CONFLICT (user_id, activity_id) DO NOTHING;
