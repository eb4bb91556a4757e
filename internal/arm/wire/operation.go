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
	Output any `json:"output,omitempty"`
	// Of our own api-version, beside what Azure has.
	Steps    []OperationStep  `json:"steps,omitempty"`
	Progress *OperationAmount `json:"bytes,omitempty"`
	// PointInTime is the moment that a copy holds: from then on its source may be written again.
	PointInTime string `json:"pointInTime,omitempty"`
}

// OperationStep is one of the steps of an operation.
type OperationStep struct {
	Name   string `json:"name"`
	Status string `json:"status"`
}

// OperationAmount tells how many bytes there are to move, and how many moved.
type OperationAmount struct {
	Total int64 `json:"total"`
	Done  int64 `json:"done"`
}

// OperationError says why an operation failed.
type OperationError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target,omitempty"`
}
