-- A server without an owner would offer its set-up to whoever comes first. A trigger holds this for every process that
-- writes here, the command line beside a running server included.
CREATE TRIGGER last_owner_keeps_role
BEFORE UPDATE OF role ON users
WHEN OLD.role = 'owner' AND NEW.role <> 'owner' AND (SELECT count(*) FROM users WHERE role = 'owner') = 1
BEGIN
    SELECT RAISE(ABORT, 'last owner');
END;

CREATE TRIGGER last_owner_stays
BEFORE DELETE ON users
WHEN OLD.role = 'owner' AND (SELECT count(*) FROM users WHERE role = 'owner') = 1
BEGIN
    SELECT RAISE(ABORT, 'last owner');
END;
