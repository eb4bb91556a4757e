package graph

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

// directory is a rig with ann and bob.
func directory(t *testing.T) (r *rig, ann, bob string) {
	t.Helper()
	r = newRig(t)
	for _, who := range []struct {
		name string
		id   *string
	}{{"ann", &ann}, {"bob", &bob}} {
		u, err := r.id.AddUser(who.name+"@example", who.name, "long enough a password")
		if err != nil {
			t.Fatal(err)
		}
		*who.id = u.ObjectID
	}
	return r, ann, bob
}

func ref(id string) string { return `{"@odata.id":"https://h/graph/v1.0/directoryObjects/` + id + `"}` }

// TestOwners: who owns a group changes it and its members, and nothing else.
func TestOwners(t *testing.T) {
	r, ann, bob := directory(t)
	const plain = `{"displayName":"g","mailNickname":"g","mailEnabled":false,"securityEnabled":true`
	var g, other groupBody
	r.do("admin", "POST", "/groups", plain+`,"owners@odata.bind":["https://h/graph/v1.0/users/`+ann+`"]}`, 201, &g)
	r.do("admin", "POST", "/groups", plain+`}`, 201, &other)
	at := "/groups/" + g.ID
	var list struct{ Value []struct{ ID string } }
	ids := func(path string, want ...string) {
		t.Helper()
		r.do("user", "GET", path, "", 200, &list)
		var got []string
		for _, v := range list.Value {
			got = append(got, v.ID)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	ids(at+"/owners", ann)
	ids("/users/ann@example/ownedObjects", g.ID)
	ids("/groups/" + other.ID + "/owners")
	r.do("bob", "POST", at+"/members/$ref", ref(bob), 403, nil)
	r.do("bob", "POST", at+"/owners/$ref", ref(bob), 403, nil)
	r.do("bob", "PATCH", at, `{"displayName":"mine"}`, 403, nil)
	r.do("ann", "POST", at+"/members/$ref", ref(bob), 204, nil)
	r.do("ann", "PATCH", at, `{"displayName":"hers"}`, 204, nil)
	r.do("ann", "DELETE", at+"/members/"+bob+"/$ref", "", 204, nil)
	r.do("ann", "POST", "/groups/"+other.ID+"/members/$ref", ref(ann), 403, nil)
	r.do("ann", "PATCH", "/groups/"+other.ID, `{}`, 403, nil)
	r.do("ann", "DELETE", "/groups/"+other.ID, "", 403, nil)
	r.do("ann", "POST", "/groups", plain+`}`, 403, nil)
	r.do("ann", "PATCH", "/users/"+bob, `{"displayName":"b"}`, 403, nil)

	r.do("ann", "DELETE", at+"/owners/"+ann+"/$ref", "", 400, nil) // the last one
	r.do("ann", "POST", at+"/owners/$ref", ref(ann), 400, nil)
	r.do("ann", "POST", at+"/owners/$ref", ref(other.ID), 400, nil)
	r.do("ann", "POST", at+"/owners/$ref", ref(uuid.NewString()), 404, nil)
	r.do("ann", "PATCH", at, `{"owners@odata.bind":["https://h/graph/v1.0/users/`+bob+`"]}`, 400, nil)
	r.do("ann", "POST", at+"/owners/$ref", ref(bob), 204, nil)
	r.do("bob", "DELETE", at+"/owners/"+strings.ToUpper(ann)+"/$ref", "", 204, nil)
	ids(at+"/owners", bob)
	r.do("ann", "PATCH", at, `{}`, 403, nil)
	r.do("bob", "DELETE", at+"/owners/"+ann+"/$ref", "", 404, nil)
	r.do("admin", "DELETE", "/users/"+bob, "", 204, nil)
	ids(at + "/owners")
	r.do("admin", "POST", at+"/owners/$ref", ref(ann), 204, nil)
	r.do("ann", "DELETE", at, "", 204, nil)
	r.do("user", "GET", at+"/owners", "", 404, nil)
}

// TestDirectoryAudits: who changed what in the directory is on record, refusals too, and never a secret.
func TestDirectoryAudits(t *testing.T) {
	r, ann, bob := directory(t)
	var g groupBody
	var a application
	const secret = "correct horse battery"
	r.do("admin", "POST", "/groups", `{"displayName":"g","mailNickname":"g","mailEnabled":false,"securityEnabled":true,"owners@odata.bind":["https://h/users/`+ann+`"]}`, 201, &g)
	r.do("ann", "POST", "/groups/"+g.ID+"/members/$ref", ref(bob), 204, nil)
	r.do("ann", "DELETE", "/groups/"+g.ID+"/members/"+bob+"/$ref", "", 204, nil)
	r.do("bob", "DELETE", "/groups/"+g.ID, "", 403, nil)
	r.do("admin", "PATCH", "/users/"+bob, `{"passwordProfile":{"password":"`+secret+`"}}`, 204, nil)
	r.do("admin", "POST", "/applications", `{"displayName":"app"}`, 201, &a)
	r.do("admin", "POST", "/applications/"+a.ID+"/addPassword", `{}`, 200, nil)
	r.do("user", "GET", "/groups", "", 200, nil)
	r.do("nobody", "DELETE", "/groups/"+g.ID, "", 401, nil)
	r.do("user", "GET", "/auditLogs/directoryAudits", "", 403, nil)
	r.do("admin", "GET", "/auditLogs/directoryAudits?$top=0", "", 400, nil)
	r.do("admin", "GET", "/auditLogs/directoryAudits?$filter=x", "", 400, nil)

	var got []string
	next := "/auditLogs/directoryAudits?$top=2"
	for next != "" {
		var page struct {
			Next  string `json:"@odata.nextLink"`
			Value []directoryAudit
		}
		r.do("admin", "GET", next, "", 200, &page)
		for _, v := range page.Value {
			line := v.Operation + " " + v.Activity + " " + v.Result
			if v.By.User != nil {
				line += " by " + v.By.User.Name
			}
			for _, target := range v.Targets {
				line += " " + target.Type + " " + map[string]string{ann: "ann", bob: "bob", g.ID: "g", a.ID: "app"}[target.ID]
			}
			got = append(got, line)
		}
		next = strings.TrimPrefix(page.Next, "https://h/graph/v1.0")
	}
	want := []string{
		"Update microsoft.directory/applications/credentials/update success Application app",
		"Add microsoft.directory/applications/create success Application app",
		"Update microsoft.directory/users/basic/update success User bob",
		"Delete microsoft.directory/groups/delete failure by bob@example Group g",
		"Unassign microsoft.directory/groups/members/update success by ann@example Group g DirectoryObject bob",
		"Assign microsoft.directory/groups/members/update success by ann@example Group g DirectoryObject bob",
		"Add microsoft.directory/groups/create success Group g",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
