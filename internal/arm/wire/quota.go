package wire

// Quota is one line of a region's usages.
type Quota struct {
	Limit        int64     `json:"limit"`
	Unit         string    `json:"unit"`
	CurrentValue int64     `json:"currentValue"`
	Name         QuotaName `json:"name"`
}

// QuotaName is a name for programs and one for people.
type QuotaName struct {
	Value     string `json:"value"`
	Localized string `json:"localizedValue"`
}
