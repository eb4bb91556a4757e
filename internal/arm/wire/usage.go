package wire

// UsageDetail is a row of usage as api-versions from 2019-10-01 on show it.
type UsageDetail struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Kind       string            `json:"kind"`
	Tags       map[string]string `json:"tags"`
	Properties UsageProperties   `json:"properties"`
}

// UsageProperties of a UsageDetail.
type UsageProperties struct {
	BillingAccountID       string        `json:"billingAccountId"`
	BillingPeriodStartDate string        `json:"billingPeriodStartDate"`
	BillingPeriodEndDate   string        `json:"billingPeriodEndDate"`
	SubscriptionID         string        `json:"subscriptionId"`
	SubscriptionName       string        `json:"subscriptionName"`
	Date                   string        `json:"date"`
	Product                string        `json:"product"`
	MeterID                string        `json:"meterId"`
	MeterDetails           *MeterDetails `json:"meterDetails,omitempty"`
	Quantity               any           `json:"quantity"`
	EffectivePrice         any           `json:"effectivePrice"`
	Cost                   any           `json:"cost"`
	UnitPrice              any           `json:"unitPrice"`
	PayGPrice              any           `json:"payGPrice"`
	BillingCurrency        string        `json:"billingCurrency"`
	ResourceLocation       string        `json:"resourceLocation"`
	ConsumedService        string        `json:"consumedService"`
	ResourceID             string        `json:"resourceId"`
	ResourceName           string        `json:"resourceName"`
	ResourceGroup          string        `json:"resourceGroup"`
	AdditionalInfo         string        `json:"additionalInfo,omitempty"`
	IsCreditEligible       bool          `json:"isAzureCreditEligible"`
	PublisherName          string        `json:"publisherName"`
	PublisherType          string        `json:"publisherType"`
	ChargeType             string        `json:"chargeType"`
	Frequency              string        `json:"frequency"`
	PricingModel           string        `json:"pricingModel"`
}

// MeterDetails of a UsageDetail, shown when asked for.
type MeterDetails struct {
	MeterName        string `json:"meterName"`
	MeterCategory    string `json:"meterCategory"`
	MeterSubCategory string `json:"meterSubCategory"`
	UnitOfMeasure    string `json:"unitOfMeasure"`
	ServiceFamily    string `json:"serviceFamily"`
}

// OldUsageDetail is a row of usage as api-version 2018-01-31 shows it: the one that az speaks.
type OldUsageDetail struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Type       string             `json:"type"`
	Tags       map[string]string  `json:"tags"`
	Properties OldUsageProperties `json:"properties"`
}

// OldUsageProperties of an OldUsageDetail.
type OldUsageProperties struct {
	BillingPeriodID      string           `json:"billingPeriodId"`
	UsageStart           string           `json:"usageStart"`
	UsageEnd             string           `json:"usageEnd"`
	InstanceID           string           `json:"instanceId"`
	InstanceName         string           `json:"instanceName"`
	InstanceLocation     string           `json:"instanceLocation"`
	MeterID              string           `json:"meterId"`
	UsageQuantity        any              `json:"usageQuantity"`
	PretaxCost           any              `json:"pretaxCost"`
	Currency             string           `json:"currency"`
	AdditionalProperties string           `json:"additionalProperties,omitempty"`
	IsEstimated          bool             `json:"isEstimated"`
	SubscriptionGUID     string           `json:"subscriptionGuid"`
	SubscriptionName     string           `json:"subscriptionName"`
	AccountName          string           `json:"accountName"`
	DepartmentName       string           `json:"departmentName"`
	Product              string           `json:"product"`
	ConsumedService      string           `json:"consumedService"`
	CostCenter           string           `json:"costCenter"`
	MeterDetails         *OldMeterDetails `json:"meterDetails,omitempty"`
}

// OldMeterDetails of an OldUsageDetail, shown when asked for.
type OldMeterDetails struct {
	MeterName          string `json:"meterName"`
	MeterCategory      string `json:"meterCategory"`
	Unit               string `json:"unit"`
	MeterLocation      string `json:"meterLocation"`
	MeterSubCategory   string `json:"meterSubCategory"`
	PretaxStandardRate any    `json:"pretaxStandardRate"`
}

// CostReportRequest is the body of generateCostDetailsReport.
type CostReportRequest struct {
	Metric        string      `json:"metric,omitempty"`
	TimePeriod    *TimePeriod `json:"timePeriod,omitempty"`
	BillingPeriod string      `json:"billingPeriod,omitempty"`
	InvoiceID     string      `json:"invoiceId,omitempty"`
	CustomerID    string      `json:"customerId,omitempty"`
}

// TimePeriod of a CostReportRequest: days, both included.
type TimePeriod struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// CostReport is the answer when the report is ready.
type CostReport struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Status    string          `json:"status"`
	Manifest  *ReportManifest `json:"manifest,omitempty"`
	ValidTill string          `json:"validTill,omitempty"`
	Error     *OperationError `json:"error,omitempty"`
}

// ReportManifest says where the report's files are.
type ReportManifest struct {
	Version        string        `json:"manifestVersion"`
	DataFormat     string        `json:"dataFormat"`
	ByteCount      int64         `json:"byteCount"`
	BlobCount      int           `json:"blobCount"`
	CompressData   bool          `json:"compressData"`
	RequestContext ReportContext `json:"requestContext"`
	Blobs          []ReportBlob  `json:"blobs"`
}

// ReportContext repeats what was asked for.
type ReportContext struct {
	Scope string            `json:"requestScope"`
	Body  CostReportRequest `json:"requestBody"`
}

// ReportBlob is one file of a report.
type ReportBlob struct {
	Link      string `json:"blobLink"`
	ByteCount int64  `json:"byteCount"`
}

// CostQuery is the body of Microsoft.CostManagement/query and forecast.
type CostQuery struct {
	Type       string `json:"type"`
	Timeframe  string `json:"timeframe"`
	TimePeriod *struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"timePeriod"`
	Dataset struct {
		Granularity string `json:"granularity"`
		Aggregation map[string]struct {
			Name     string `json:"name"`
			Function string `json:"function"`
		} `json:"aggregation"`
		Grouping []struct {
			Type string `json:"type"`
			Name string `json:"name"`
		} `json:"grouping"`
		Filter *CostFilter `json:"filter"`
	} `json:"dataset"`
	IncludeActualCost *bool `json:"includeActualCost"` // of a forecast only
}

// CostFilter says which rows count.
type CostFilter struct {
	And        []CostFilter    `json:"and,omitempty"`
	Or         []CostFilter    `json:"or,omitempty"`
	Not        *CostFilter     `json:"not,omitempty"`
	Dimensions *CostComparison `json:"dimensions,omitempty"`
	Tags       *CostComparison `json:"tags,omitempty"`
}

// CostComparison compares a dimension or tag with values.
type CostComparison struct {
	Name     string   `json:"name"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// CostTable is the answer to a CostQuery.
type CostTable struct {
	ID         string              `json:"id"`
	Name       string              `json:"name"`
	Type       string              `json:"type"`
	Properties CostTableProperties `json:"properties"`
}

// CostTableProperties of a CostTable. Each row has a value for each column.
type CostTableProperties struct {
	NextLink *string      `json:"nextLink"`
	Columns  []CostColumn `json:"columns"`
	Rows     [][]any      `json:"rows"`
}

// CostColumn names a column and its type, "Number", "String" or "Datetime".
type CostColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// UsageExplanation says why a resource cost on a day what it did.
type UsageExplanation struct {
	ResourceID      string            `json:"resourceId"`
	UniqueID        string            `json:"uniqueId"`
	Born            string            `json:"since"`
	Gone            string            `json:"gone,omitempty"`
	Source          string            `json:"sourceResourceId,omitempty"`
	Incremental     bool              `json:"incremental"`
	Date            string            `json:"date"`
	DaysOfMonth     int               `json:"daysOfMonth"`
	BillingCurrency string            `json:"billingCurrency"`
	Rows            []ExplainedRow    `json:"rows"`
	Steps           []ExplainedStep   `json:"steps"`
	IfDeleted       *ExplainedSavings `json:"ifDeletedNow,omitempty"`
}

// ExplainedRow is a row of the day's usage.
type ExplainedRow struct {
	Product   string `json:"product"`
	Quantity  any    `json:"quantity"`
	Unit      string `json:"unitOfMeasure"`
	UnitPrice any    `json:"unitPrice"`
	Cost      any    `json:"cost"`
}

// ExplainedStep is a part of the day in which the same was billed.
type ExplainedStep struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Since string `json:"billedSince"`
	Bytes int64  `json:"bytes"`
	Why   string `json:"why"`
}

// ExplainedSavings is what a deletion would bring now.
type ExplainedSavings struct {
	FreedBytes  int64 `json:"freedBytes"`
	MonthlyCost any   `json:"monthlyCost"`
}
