package tintype

import (
	"encoding/json"
	"maps"
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
	case l != nil && l.User != "" && l.User != have[named(have, "adminUsername")]:
		return fixed(osProfile + ".adminUsername")
	case l != nil && l.Computer != "" && l.Computer != have[named(have, "computerName")]:
		return fixed(osProfile + ".computerName")
	}
	kept := map[string]json.RawMessage{}
	for _, from := range []map[string]json.RawMessage{m.Kept, want.Kept} {
		for name, text := range from {
			kept[name] = text
		}
	}
	if profile := readProfile(kept[osProfile]); want.Login != nil && profile != nil {
		if fresh {
			want.Login.settle(profile)
			completeProfile(profile, id.Name, image.OS.OSType == "Windows")
		} else {
			have, profile = readProfile(m.Kept[osProfile]), mergeProfile(have, profile)
			Login{User: text(have, "adminUsername"), Computer: text(have, "computerName")}.settle(profile)
		}
		text, err := json.Marshal(profile)
		if err != nil {
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

// settle has the profile name the login's user and computer, each once.
func (l Login) settle(profile map[string]any) {
	for name, value := range map[string]string{"adminUsername": l.User, "computerName": l.Computer} {
		if value == "" {
			continue
		}
		maps.DeleteFunc(profile, func(have string, _ any) bool { return strings.EqualFold(have, name) })
		profile[name] = value
	}
}

// mergeProfile gives into with what from says besides or instead, at every level. The case of names does not count, and null says nothing.
func mergeProfile(into, from map[string]any) map[string]any {
	for name, value := range from {
		at := named(into, name)
		inner, ok := value.(map[string]any)
		have, is := into[at].(map[string]any)
		switch {
		case value == nil:
		case ok && is:
			into[at] = mergeProfile(have, inner)
		default:
			into[at] = value
		}
	}
	return into
}

// named is the name that the profile has for name, whatever its case, or else name itself.
func named(profile map[string]any, name string) string {
	for have := range profile {
		if strings.EqualFold(have, name) {
			return have
		}
	}
	return name
}

func text(profile map[string]any, name string) string {
	text, _ := profile[named(profile, name)].(string)
	return text
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
		if _, ok := of[named(of, name)]; !ok {
			of[name] = value
		}
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
	system, ok := profile[named(profile, name)].(map[string]any)
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
