package catalog

import (
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"tintype"
)

// TagNames lists what tags the subscription offers, in the order of their names.
func (t *Tx) TagNames(sub tintype.SubscriptionID) ([]tintype.TagName, error) {
	type row struct{ name, value sql.NullString }
	rows, err := all(t, func(r *sql.Rows) (x row, err error) { return x, r.Scan(&x.name, &x.value) },
		"SELECT n.name, v.value FROM tag_names n LEFT JOIN tag_values v ON v.subscription = n.subscription AND v.key = n.key "+
			"WHERE n.subscription = $1 ORDER BY n.key, v.value", sub)
	var out []tintype.TagName
	for _, r := range rows {
		if len(out) == 0 || out[len(out)-1].Name != r.name.String {
			out = append(out, tintype.TagName{Name: r.name.String})
		}
		if r.value.Valid {
			out[len(out)-1].Values = append(out[len(out)-1].Values, r.value.String)
		}
	}
	return out, err
}

// CountTags counts names and values that the subscription offers.
func (t *Tx) CountTags(sub tintype.SubscriptionID) (n int, err error) {
	err = t.one("SELECT (SELECT COUNT(*) FROM tag_names WHERE subscription = $1) + (SELECT COUNT(*) FROM tag_values WHERE subscription = $1)",
		[]any{sub}, &n)
	return n, err
}

// AddTagName offers the name; added is false when it was offered before, in whatever case.
func (t *Tx) AddTagName(sub tintype.SubscriptionID, name string) (added bool, err error) {
	n, err := t.exec("INSERT INTO tag_names (subscription, key, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", sub, strings.ToLower(name), name)
	return n > 0, err
}

// AddTagValue offers a value of a name that is offered; added is false when it was offered before.
func (t *Tx) AddTagValue(sub tintype.SubscriptionID, name, value string) (added bool, err error) {
	n, err := t.exec("INSERT INTO tag_values (subscription, key, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", sub, strings.ToLower(name), value)
	return n > 0, err
}

// DeleteTagName takes back a name that has no values; ok is false when it is not offered.
func (t *Tx) DeleteTagName(sub tintype.SubscriptionID, name string) (ok bool, err error) {
	n, err := t.exec("DELETE FROM tag_names WHERE subscription = $1 AND key = $2", sub, strings.ToLower(name))
	return n > 0, err
}

// DeleteTagValue takes back a value; ok is false when it is not offered.
func (t *Tx) DeleteTagValue(sub tintype.SubscriptionID, name, value string) (ok bool, err error) {
	n, err := t.exec("DELETE FROM tag_values WHERE subscription = $1 AND key = $2 AND value = $3", sub, strings.ToLower(name), value)
	return n > 0, err
}

// SubscriptionTags are the tags of the subscription itself.
func (t *Tx) SubscriptionTags(sub tintype.SubscriptionID) (tags map[string]string, err error) {
	var text string
	err = t.one("SELECT tags FROM subscription_tags WHERE subscription = $1", []any{sub}, &text)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return tags, json.Unmarshal([]byte(text), &tags)
}

// PutSubscriptionTags replaces the tags of the subscription.
func (t *Tx) PutSubscriptionTags(sub tintype.SubscriptionID, tags map[string]string) error {
	text, err := json.Marshal(tags)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO subscription_tags (subscription, tags) VALUES ($1, $2) ON CONFLICT (subscription) DO UPDATE SET tags = excluded.tags",
		sub, string(text))
	return err
}
