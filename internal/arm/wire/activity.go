package wire

// Activity is one event of the activity log, Microsoft.Insights/eventtypes/management/values.
type Activity struct {
	Authorization  ActivityAuthorization `json:"authorization"`
	Caller         string                `json:"caller"`
	Channels       string                `json:"channels"`
	Claims         map[string]string     `json:"claims"`
	CorrelationID  string                `json:"correlationId"`
	Description    string                `json:"description"`
	EventDataID    string                `json:"eventDataId"`
	EventName      Localized             `json:"eventName"`
	Category       Localized             `json:"category"`
	HTTPRequest    *ActivityRequest      `json:"httpRequest,omitempty"`
	ID             string                `json:"id"`
	Level          string                `json:"level"`
	ResourceGroup  string                `json:"resourceGroupName"`
	Provider       Localized             `json:"resourceProviderName"`
	ResourceID     string                `json:"resourceId"`
	ResourceType   Localized             `json:"resourceType"`
	OperationID    string                `json:"operationId"`
	OperationName  Localized             `json:"operationName"`
	Properties     map[string]string     `json:"properties"`
	Status         Localized             `json:"status"`
	SubStatus      Localized             `json:"subStatus"`
	EventTimestamp string                `json:"eventTimestamp"`
	SubmissionTime string                `json:"submissionTimestamp"`
	SubscriptionID string                `json:"subscriptionId"`
	TenantID       string                `json:"tenantId"`
	RelatedEvents  []struct{}            `json:"relatedEvents"`
}

// ActivityAuthorization is what had to be allowed.
type ActivityAuthorization struct {
	Action string `json:"action"`
	Scope  string `json:"scope"`
}

// ActivityRequest tells of the request.
type ActivityRequest struct {
	ClientRequestID string `json:"clientRequestId"`
	ClientIP        string `json:"clientIpAddress"`
	Method          string `json:"method"`
	URI             string `json:"uri"`
}

// Localized is a value with a text for people.
type Localized struct {
	Value          string `json:"value"`
	LocalizedValue string `json:"localizedValue"`
}
