package tintype

import "strings"

// Power is what was last asked of a machine. Nothing runs it here: while it is running its host may attach its disks, and otherwise not.
type Power string

// The states of a machine.
const (
	PowerRunning     Power = "" // from its creation on
	PowerStopped     Power = "stopped"
	PowerDeallocated Power = "deallocated"
)

// String is the state as clients see it, such as "running".
func (p Power) String() string {
	if p == PowerRunning {
		return "running"
	}
	return string(p)
}

// PowerAction is what may be asked of a machine's power.
type PowerAction string

// The actions, in Azure's words.
const (
	ActionStart      PowerAction = "start"
	ActionPowerOff   PowerAction = "powerOff"
	ActionRestart    PowerAction = "restart"
	ActionDeallocate PowerAction = "deallocate"
)

// Turn does the action to the machine of that name. detach tells that its host must not have its disks any more, or has to attach them again.
func (m *Machine) Turn(action PowerAction, name string) (detach bool, err error) {
	state := ""
	switch {
	case m.Generalized && (action == ActionStart || action == ActionRestart):
		state = "generalized"
	case action == ActionRestart && m.Power != PowerRunning:
		state = m.Power.String()
	}
	if state != "" {
		return false, NotAllowed("Operation '%s' is not allowed on VM '%s' since the VM is %s.", action, name, state)
	}
	switch action {
	case ActionPowerOff:
		m.Power = PowerStopped
	case ActionDeallocate:
		m.Power = PowerDeallocated
	default:
		m.Power = PowerRunning
	}
	return action != ActionStart, nil
}

// Refuse refuses to let the host of a machine that is not running have a disk.
func (m Machine) Refuse(name string, disk ResourceID) error {
	if m.Power == PowerRunning {
		return nil
	}
	return NotAllowed("Cannot attach disk %s to VM %s because the VM is %s. Start it first.", disk.Name, name, m.Power)
}

// HostFor is the host that has the disk attached for the machine, "" when none has.
func (v Volume) HostFor(machine string) string {
	by := v.HeldBy
	if v.Shared() {
		by = ""
		for _, s := range v.Sharers {
			if strings.EqualFold(s.Machine, machine) {
				by = s.HeldBy
			}
		}
	} else if !strings.EqualFold(v.Machine, machine) {
		by = ""
	}
	return by[strings.LastIndexByte(by, '/')+1:]
}
