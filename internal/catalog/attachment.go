package catalog

import "database/sql"

// Attachment is the row of a volume that a host has attached.
type Attachment struct {
	Key      string
	Host     string
	ReadOnly bool
	Since    []string // keys of the snapshots that the volume may be compared with, in their order
}

func scanAttachment(scan func(...any) error) (Attachment, error) {
	var a Attachment
	var readOnly int
	err := scan(&a.Key, &a.Host, &readOnly)
	a.ReadOnly = readOnly != 0
	return a, err
}

// Attachment gives the resource's attachment; ErrNotFound when there is none.
func (t *Tx) Attachment(key string) (Attachment, error) {
	a, err := scanAttachment(func(dest ...any) error {
		return t.one("SELECT key, host, read_only FROM attachments WHERE key = $1", []any{key}, dest...)
	})
	if err != nil {
		return a, err
	}
	a.Since, err = all(t, scanText, "SELECT older FROM attachment_since WHERE key = $1 ORDER BY older", key)
	return a, err
}

// AttachmentSince gives the key of an attachment that is compared with the snapshot of that key; ErrNotFound when there is
// none.
func (t *Tx) AttachmentSince(older string) (key string, err error) {
	err = t.one("SELECT key FROM attachment_since WHERE older = $1 ORDER BY key LIMIT 1", []any{older}, &key)
	return key, err
}

// Attachments lists all attachments in the order of their keys, without what they are compared with.
func (t *Tx) Attachments() ([]Attachment, error) {
	return all(t, func(r *sql.Rows) (Attachment, error) { return scanAttachment(r.Scan) },
		"SELECT key, host, read_only FROM attachments ORDER BY key")
}

// AddAttachment records the only attachment of its resource.
func (t *Tx) AddAttachment(a Attachment) error {
	readOnly := 0
	if a.ReadOnly {
		readOnly = 1
	}
	_, err := t.exec("INSERT INTO attachments (key, host, read_only) VALUES ($1, $2, $3)", a.Key, a.Host, readOnly)
	for _, older := range a.Since {
		if err != nil {
			return err
		}
		_, err = t.exec("INSERT INTO attachment_since (key, older) VALUES ($1, $2)", a.Key, older)
	}
	return err
}

// DeleteAttachment removes the attachment and what it is compared with; one that isn't there is no error.
func (t *Tx) DeleteAttachment(key string) error {
	_, err := t.exec("DELETE FROM attachments WHERE key = $1", key)
	return err
}
