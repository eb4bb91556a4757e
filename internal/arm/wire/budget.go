package wire

import "encoding/json"

// Budget is a budget as clients send and see it.
type Budget struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Type       string            `json:"type,omitempty"`
	ETag       string            `json:"eTag,omitempty"`
	Properties *BudgetProperties `json:"properties,omitempty"`
}

// BudgetProperties of a Budget. Filters is the form of api-version 2018-01-31, Filter that of later ones.
type BudgetProperties struct {
	Category      string                        `json:"category,omitempty"`
	Amount        json.Number                   `json:"amount,omitempty"`
	TimeGrain     string                        `json:"timeGrain,omitempty"`
	TimePeriod    *BudgetPeriod                 `json:"timePeriod,omitempty"`
	Filters       *BudgetFilters                `json:"filters,omitempty"`
	Filter        *CostFilter                   `json:"filter,omitempty"`
	CurrentSpend  *BudgetSpend                  `json:"currentSpend,omitempty"`
	ForecastSpend *BudgetSpend                  `json:"forecastSpend,omitempty"`
	Notifications map[string]BudgetNotification `json:"notifications,omitempty"`
}

// BudgetPeriod is a budget's life.
type BudgetPeriod struct {
	StartDate string `json:"startDate"`
	EndDate   string `json:"endDate,omitempty"`
}

// BudgetFilters say what counts, as api-version 2018-01-31 has them.
type BudgetFilters struct {
	ResourceGroups []string `json:"resourceGroups,omitempty"`
	Resources      []string `json:"resources,omitempty"`
	Meters         []string `json:"meters,omitempty"`
}

// BudgetSpend is a sum, which only the server sets.
type BudgetSpend struct {
	Amount any    `json:"amount"`
	Unit   string `json:"unit"`
}

// BudgetNotification says when somebody is to be told.
type BudgetNotification struct {
	Enabled       bool        `json:"enabled"`
	Operator      string      `json:"operator"`
	Threshold     json.Number `json:"threshold"`
	ThresholdType string      `json:"thresholdType,omitempty"`
	Locale        string      `json:"locale,omitempty"`
	ContactEmails []string    `json:"contactEmails"`
	ContactRoles  []string    `json:"contactRoles,omitempty"`
	ContactGroups []string    `json:"contactGroups,omitempty"`
}
