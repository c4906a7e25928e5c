-- All statements run in one transaction. They may use :now and :fire_time (with _local or _unix), and :message, as in
--
--     DELETE FROM carts WHERE expires_at < :now;

SELECT 1;
