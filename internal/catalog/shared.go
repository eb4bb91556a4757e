package catalog

import "database/sql"

// SharedAttachments lists who has the shared disk of the key attached, or with "" all shared disks, in the order of keys and hosts.
func (t *Tx) SharedAttachments(key string) ([]Attachment, error) {
	return all(t, func(r *sql.Rows) (Attachment, error) { return scanAttachment(r.Scan) },
		"SELECT key, host, read_only FROM shared_attachments WHERE $1 = '' OR key = $1 ORDER BY key, host", key)
}

// SharedAttachment gives the host's attachment of a shared disk; ErrNotFound when there is none.
func (t *Tx) SharedAttachment(key, host string) (Attachment, error) {
	return scanAttachment(func(dest ...any) error {
		return t.one("SELECT key, host, read_only FROM shared_attachments WHERE key = $1 AND host = $2", []any{key, host}, dest...)
	})
}

// AddSharedAttachment records a host's attachment of a shared disk.
func (t *Tx) AddSharedAttachment(a Attachment) error {
	readOnly := 0
	if a.ReadOnly {
		readOnly = 1
	}
	_, err := t.exec("INSERT INTO shared_attachments (key, host, read_only) VALUES ($1, $2, $3)", a.Key, a.Host, readOnly)
	return err
}

// DeleteSharedAttachment removes a host's attachment of a shared disk; one that isn't there is no error.
func (t *Tx) DeleteSharedAttachment(key, host string) error {
	_, err := t.exec("DELETE FROM shared_attachments WHERE key = $1 AND host = $2", key, host)
	return err
}
