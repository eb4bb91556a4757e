package tintype

import (
	"encoding/json"
	"strings"
)

// Login is what a machine's osProfile says of who may log in. No password is kept: it is known only whether there was one.
type Login struct {
	User       string
	Computer   string // computerName
	Password   bool
	Keys       bool // SSH keys
	NoPassword bool // disablePasswordAuthentication
}

// osProfile is the name of the part of a machine that tells its system who it is.
const osProfile = "osProfile"

// applyProfile takes over the profiles that are kept and shown. A machine has an osProfile when, and only when, it was made of a generalized image.
func (m *Machine) applyProfile(id ResourceID, want MachineRequest, fresh bool, image *Image) error {
	general := image != nil && image.OS.OSState == "Generalized"
	have := readProfile(m.Kept[osProfile])
	switch l := want.Login; {
	case fresh && general && l == nil:
		return MissingParameter(osProfile)
	case fresh && !general && l != nil:
		return InvalidParameter(osProfile, "Parameter '%s' is not allowed.", osProfile)
	case fresh && l != nil:
		if err := l.check(image.OS.OSType == "Windows"); err != nil {
			return err
		}
	case l != nil && have == nil:
		return fixed(osProfile)
	case l != nil && l.User != "" && l.User != have["adminUsername"]:
		return fixed(osProfile + ".adminUsername")
	case l != nil && l.Computer != "" && l.Computer != have["computerName"]:
		return fixed(osProfile + ".computerName")
	}
	kept := map[string]json.RawMessage{}
	for _, from := range []map[string]json.RawMessage{m.Kept, want.Kept} {
		for name, text := range from {
			kept[name] = text
		}
	}
	if fresh && want.Login != nil {
		have = readProfile(kept[osProfile])
	}
	if text := kept[osProfile]; fresh && want.Login != nil && have != nil {
		completeProfile(have, id.Name, image.OS.OSType == "Windows")
		var err error
		if text, err = json.Marshal(have); err != nil {
			return err
		}
		kept[osProfile] = text
	}
	m.Kept = nil
	if len(kept) > 0 {
		m.Kept = kept
	}
	return nil
}

// check refuses a login with which nobody could log in.
func (l Login) check(windows bool) error {
	switch {
	case l.User == "":
		return MissingParameter("adminUsername")
	case !windows && l.NoPassword && !l.Keys:
		return InvalidParameter("linuxConfiguration", "Authentication using either SSH or by user name and password must be enabled in Linux profile.")
	case !l.Password && (windows || !l.NoPassword):
		return MissingParameter("adminPassword")
	}
	return nil
}

// Security is the securityType of the machine's securityProfile, "" when it is a standard one.
func (m Machine) Security() string {
	for name, value := range readProfile(m.Kept["securityProfile"]) {
		if text, ok := value.(string); ok && strings.EqualFold(name, "securityType") && !strings.EqualFold(text, "Standard") {
			return text
		}
	}
	return ""
}

func readProfile(text json.RawMessage) (profile map[string]any) {
	if json.Unmarshal(text, &profile) != nil {
		return nil
	}
	return profile
}

// completeProfile fills in what Azure shows of an osProfile that does not say it. Source: recordings.
func completeProfile(profile map[string]any, machine string, windows bool) {
	initial := func(of map[string]any, name string, value any) {
		for have := range of {
			if strings.EqualFold(have, name) {
				return
			}
		}
		of[name] = value
	}
	initial(profile, "computerName", machine)
	initial(profile, "secrets", []any{})
	initial(profile, "allowExtensionOperations", true)
	initial(profile, "requireGuestProvisionSignal", true)
	name, patches := "linuxConfiguration", map[string]any{"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"}
	if windows {
		name, patches = "windowsConfiguration", map[string]any{"patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault"}
	}
	initial(profile, name, map[string]any{})
	system, ok := profile[name].(map[string]any)
	if !ok {
		return
	}
	initial(system, "provisionVMAgent", true)
	initial(system, "patchSettings", patches)
	if windows {
		initial(system, "enableAutomaticUpdates", true)
	} else {
		initial(system, "disablePasswordAuthentication", false)
	}
}
