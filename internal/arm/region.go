package arm

// Region is one place that the locations API lists.
type Region struct {
	// Name as ids and bodies carry it ("westus2"), DisplayName as people read it ("West US 2").
	Name, DisplayName string
	// Zoned regions have availability zones 1, 2 and 3.
	Zoned bool
}

// zones are the logical zones of every zoned region.
func (r Region) zones() []string {
	if !r.Zoned {
		return nil
	}
	return []string{"1", "2", "3"}
}
