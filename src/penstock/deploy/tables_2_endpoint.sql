-- Where the platform was reached when the application was deployed: queue URLs contain it, and the next server may have
-- another port.
ALTER TABLE stack ADD COLUMN endpoint TEXT NOT NULL DEFAULT '';
