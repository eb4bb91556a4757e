package wire

// Operation is what a poll of Azure-AsyncOperation answers.
type Operation struct {
	StartTime  string               `json:"startTime"`
	EndTime    string               `json:"endTime,omitempty"`
	Status     string               `json:"status"`
	Error      *OperationError      `json:"error,omitempty"`
	Properties *OperationProperties `json:"properties,omitempty"`
	Name       string               `json:"name"`
}

// OperationProperties hold what the operation made.
type OperationProperties struct {
	Output any `json:"output"`
}

// OperationError says why an operation failed.
type OperationError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`
}
