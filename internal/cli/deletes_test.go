package cli

import (
	"strings"
	"testing"
)

// TestIDsOfOthers gives the commands of locks and role assignments the ids of other things: nothing is asked of the server.
func TestIDsOfOthers(t *testing.T) {
	const sub = "/subscriptions/" + testSub
	const disk = sub + "/resourceGroups/g/providers/Microsoft.Compute/disks/d"
	const lock, role = disk + "/providers/microsoft.authorization/LOCKS/l", disk + "/providers/Microsoft.Authorization/roleAssignments/0a1b2c3d-0000-4000-8000-000000000001"
	for words, own := range map[string]string{"lock show": lock, "lock update": lock, "lock delete": lock, "role assignment delete": role} {
		other := map[string]string{lock: role, role: lock}[own]
		for _, id := range []string{other, disk, sub, sub + "/resourceGroups/g", "d", "/", own + "/x", strings.TrimSuffix(lock, "/l"), own + "/../../../..", strings.TrimSuffix(lock, "l") + ".."} {
			s := newStandIn(t, nil)
			_, stderr, code := s.run(t, append(strings.Fields(words), "--ids", own, id)...)
			if code == 0 || !strings.Contains(stderr, "invalid resource ID") || len(s.requests()) != 0 {
				t.Errorf("%s --ids %s: exit %d, %s, %v", words, id, code, stderr, s.requests())
			}
		}
	}
	for words, id := range map[string]string{"lock delete": lock, "role assignment delete": role} {
		s := newStandIn(t, map[string][]reply{"DELETE " + strings.TrimPrefix(id, sub): {{status: 200}}})
		if _, stderr, code := s.run(t, append(strings.Fields(words), "--ids", id)...); code != 0 || len(s.requests()) != 1 {
			t.Errorf("%s --ids %s: exit %d, %s, %v", words, id, code, stderr, s.requests())
		}
	}
}

// TestLockNowhere: an empty place is not all of the subscription.
func TestLockNowhere(t *testing.T) {
	for _, line := range [][]string{{"-n", "keep", "-g", ""}, {"-n", "keep", "--resource", "", "-g", "g"}, {"-n", "", "-g", "g"}} {
		s := newStandIn(t, map[string][]reply{"DELETE /providers/Microsoft.Authorization/locks/keep": {{status: 200}}})
		if _, stderr, code := s.run(t, append([]string{"lock", "delete"}, line...)...); code != 2 || len(s.requests()) != 0 {
			t.Errorf("%q: exit %d, %s, %v", line, code, stderr, s.requests())
		}
	}
}

// TestAllAssignments: options that are empty narrow nothing down, and so the deletion of all asks first.
func TestAllAssignments(t *testing.T) {
	const all = "GET /providers/Microsoft.Authorization/roleAssignments"
	const one = "/subscriptions/" + testSub + "/providers/Microsoft.Authorization/roleAssignments/0a1b2c3d-0000-4000-8000-000000000001"
	for _, line := range [][]string{{}, {"--scope", ""}, {"-g", ""}, {"--assignee", ""}, {"--role", ""}, {"--scope", "", "-g", "", "--role", "", "--assignee", ""}} {
		s := newStandIn(t, map[string][]reply{all: {{status: 200, body: `{"value":[{"id":"` + one + `","properties":{"scope":"/subscriptions/` + testSub + `"}}]}`}}})
		_, stderr, code := s.run(t, append([]string{"role", "assignment", "delete"}, line...)...)
		if code == 0 || !strings.Contains(stderr, "--yes") || len(s.requests()) != 0 {
			t.Errorf("%q: exit %d, %s, %v", line, code, stderr, s.requests())
		}
	}
}
