package catalog

import "tintype"

// CountVolumes tells how many volumes of the kind and sku the subscription has in the region.
func (t *Tx) CountVolumes(sub tintype.SubscriptionID, kind tintype.Kind, location string, sku tintype.SKU) (n int64, err error) {
	return n, t.one("SELECT count(*) FROM volumes WHERE subscription = $1 AND kind = $2 "+
		"AND json_extract(document, '$.location') = $3 AND json_extract(document, '$.sku') = $4", []any{sub, kind, location, sku}, &n)
}

// CountCompanions tells how many companions of the kind the subscription has in the region.
func (t *Tx) CountCompanions(sub tintype.SubscriptionID, kind tintype.Kind, location string) (n int64, err error) {
	return n, t.one("SELECT count(*) FROM companions WHERE subscription = $1 AND kind = $2 AND json_extract(document, '$.location') = $3",
		[]any{sub, kind, location}, &n)
}
