-- What an event tells to programs beside its text (EventFacts, as JSON); those of older versions have none.
ALTER TABLE events ADD COLUMN facts TEXT;
