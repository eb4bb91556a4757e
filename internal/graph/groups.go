package graph

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/identity"
)

// groupBody is the wire form of a group. What Graph has beside it is of mail, licences and rules.
type groupBody struct {
	Context     string   `json:"@odata.context,omitempty"`
	Type        string   `json:"@odata.type,omitempty"`
	ID          string   `json:"id"`
	Deleted     *string  `json:"deletedDateTime"`
	Created     string   `json:"createdDateTime"`
	Description *string  `json:"description"`
	Name        string   `json:"displayName"`
	Types       []string `json:"groupTypes"`
	Assignable  *bool    `json:"isAssignableToRole"`
	Mail        *string  `json:"mail"`
	MailEnabled bool     `json:"mailEnabled"`
	Nick        string   `json:"mailNickname"`
	Rule        *string  `json:"membershipRule"`
	Proxies     []string `json:"proxyAddresses"`
	Renewed     string   `json:"renewedDateTime"`
	Security    bool     `json:"securityEnabled"`
	Visibility  *string  `json:"visibility"`
}

func toGroup(g identity.Group) groupBody {
	return groupBody{
		ID: g.ObjectID, Created: stamp(g.Created), Description: orNull(g.Description), Name: g.Name, Types: []string{}, Nick: g.Nick,
		Proxies: []string{}, Renewed: stamp(g.Created), Security: true,
	}
}

func (h *Handler) listGroups(c *call) (answer, error) {
	keep, err := parseFilter(c.r)
	if err != nil {
		return answer{}, err
	}
	var out []any
	for _, g := range h.Identity.Groups() {
		if keep(facts{"displayname": {g.Name}, "mailnickname": {g.Nick}, "id": {g.ObjectID}, "description": {g.Description}, "mail": nil}) {
			out = append(out, toGroup(g))
		}
	}
	return c.list("groups", out), nil
}

func (h *Handler) getGroup(c *call) (answer, error) {
	g, ok := h.Identity.FindGroup(c.id)
	if !ok {
		return answer{}, missing(c.id)
	}
	w := toGroup(g)
	w.Context = c.base + "groups/$entity"
	return answer{http.StatusOK, w}, nil
}

// groupChange is what the body of a POST or PATCH asks for.
type groupChange struct {
	Name        *string  `json:"displayName"`
	Nick        *string  `json:"mailNickname"`
	Description *string  `json:"description"`
	MailEnabled *bool    `json:"mailEnabled"`
	Security    *bool    `json:"securityEnabled"`
	Types       []string `json:"groupTypes"`
	Members     []string `json:"members@odata.bind"`
	Owners      []string `json:"owners@odata.bind"`
}

// maxBound is how many members Graph takes in one request.
const maxBound = 20

// members refuses groups of other kinds, and reads the links to members.
func (g groupChange) members() (ids []string, err error) {
	switch {
	case len(g.Types) > 0 || g.MailEnabled != nil && *g.MailEnabled || g.Security != nil && !*g.Security:
		return nil, refuseGroup("The service does not currently support writes of mail-enabled groups. Please ensure that the mail-enablement " +
			"property is unset and the security-enablement property is set.")
	case len(g.Members)+len(g.Owners) > maxBound:
		return nil, refuseGroup("The maximum number of items in a collection that can be bound is exceeded.")
	}
	return linkedAll(g.Members)
}

func linkedAll(links []string) (ids []string, err error) {
	for _, link := range links {
		id, err := linked(link)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func refuseGroup(message string) error {
	return &tintype.Error{Kind: tintype.KindInvalid, Code: "Request_BadRequest", Message: message}
}

// linked is the id in a link such as https://HOST/v1.0/directoryObjects/ID. Where it leads to is not looked at: there is one directory.
func linked(link string) (string, error) {
	u, err := url.Parse(link)
	if err == nil {
		parts := strings.Split(strings.TrimRight(u.Path, "/"), "/")
		if id := parts[len(parts)-1]; len(parts) > 1 && uuid.Validate(id) == nil {
			return id, nil
		}
	}
	return "", refuseGroup("Invalid URL format specified in payload.")
}

// linked is the id in the link that the body is.
func (c *call) linked() (string, error) {
	var body struct {
		Link string `json:"@odata.id"`
	}
	if err := c.decode(&body); err != nil {
		return "", err
	}
	return linked(body.Link)
}

func (h *Handler) addGroup(c *call) (answer, error) {
	var body groupChange
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	for _, p := range []struct {
		name string
		is   bool
	}{
		{"displayName", body.Name != nil},
		{"mailNickname", body.Nick != nil},
		{"mailEnabled", body.MailEnabled != nil},
		{"securityEnabled", body.Security != nil},
	} {
		if !p.is {
			return answer{}, refuseGroup("A value is required for property '" + p.name + "' of resource 'Group'.")
		}
	}
	members, err := body.members()
	if err != nil {
		return answer{}, err
	}
	owners, err := linkedAll(body.Owners)
	if err != nil {
		return answer{}, err
	}
	made := identity.Group{Name: *body.Name, Nick: *body.Nick}
	if body.Description != nil {
		made.Description = *body.Description
	}
	if made, err = h.Identity.AddGroup(made, members, owners...); err != nil {
		return answer{}, err
	}
	w := toGroup(made)
	w.Context = c.base + "groups/$entity"
	return answer{http.StatusCreated, w}, nil
}

func (h *Handler) changeGroup(c *call) (answer, error) {
	var body groupChange
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if len(body.Owners) > 0 {
		return answer{}, refuseGroup("Owners of a group are added at its owners, one by one.")
	}
	members, err := body.members()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, h.Identity.ChangeGroup(c.id, identity.GroupChange{
		Name: body.Name, Nick: body.Nick, Description: body.Description, Members: members,
	})
}

func (h *Handler) deleteGroup(c *call) (answer, error) {
	gone, err := h.Identity.DeleteGroup(c.id)
	if err == nil {
		err = h.Gone(gone.ObjectID)
	}
	return answer{status: http.StatusNoContent}, err
}

func (h *Handler) addMember(c *call) (answer, error) {
	id, err := c.linked()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, h.Identity.ChangeGroup(c.id, identity.GroupChange{Members: []string{id}})
}

func (h *Handler) removeMember(c *call) (answer, error) {
	return answer{status: http.StatusNoContent}, h.Identity.RemoveMember(c.id, c.r.PathValue("member"))
}

// members lists who is in a group; with deep, by way of its groups too.
func (h *Handler) members(deep bool) func(*call) (answer, error) {
	return func(c *call) (answer, error) {
		ids, err := h.Identity.Members(c.id, deep)
		return c.list("directoryObjects", h.objects(ids)), err
	}
}

// memberOf lists the groups that a principal is in.
func (h *Handler) memberOf(deep bool) func(*call) (answer, error) {
	return func(c *call) (answer, error) {
		id, err := h.named(c)
		if err != nil {
			return answer{}, err
		}
		return c.list("directoryObjects", h.objects(h.Identity.MemberOf(id, deep))), nil
	}
}

// getMemberGroups tells the ids of all groups that a principal is in.
func (h *Handler) getMemberGroups(c *call) (answer, error) {
	id, err := h.named(c)
	if err != nil {
		return answer{}, err
	}
	return c.strings(h.Identity.MemberOf(id, true)), nil
}

// maxGroupIDs is Graph's own bound.
const maxGroupIDs = 20

// checkMemberGroups tells in which of some groups a principal is.
func (h *Handler) checkMemberGroups(c *call) (answer, error) {
	var body struct {
		IDs []string `json:"groupIds"`
	}
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if len(body.IDs) == 0 || len(body.IDs) > maxGroupIDs {
		return answer{}, refuseGroup("The collection 'groupIds' has 1 to 20 items.")
	}
	id, err := h.named(c)
	if err != nil {
		return answer{}, err
	}
	var in []string
	all := h.Identity.MemberOf(id, true)
	for _, asked := range body.IDs {
		for _, g := range all {
			if strings.EqualFold(asked, g) {
				in = append(in, g)
			}
		}
	}
	return c.strings(in), nil
}

// memberships are the questions of which groups somebody is in, which every kind of principal has.
func (h *Handler) memberships() (all []operation) {
	for _, of := range []string{"/me", "/users/{id}", "/servicePrincipals/{id}", "/groups/{id}", "/directoryObjects/{id}"} {
		all = append(all,
			operation{pattern: "POST " + of + "/getMemberGroups", do: h.getMemberGroups},
			operation{pattern: "POST " + of + "/getMemberObjects", do: h.getMemberGroups},
			operation{pattern: "POST " + of + "/checkMemberGroups", do: h.checkMemberGroups},
			operation{pattern: "GET " + of + "/memberOf", do: h.memberOf(false)},
			operation{pattern: "GET " + of + "/transitiveMemberOf", do: h.memberOf(true)})
	}
	return all
}

// named is the object id of the principal that the path names: a user by name too, and with /me the caller.
func (h *Handler) named(c *call) (string, error) {
	id := c.id
	if id == "" {
		id = c.who.ObjectID
	}
	if u, ok := h.Identity.FindUser(id); ok {
		return u.ObjectID, nil
	}
	if h.Identity.PrincipalType(id) == "" {
		return "", missing(id)
	}
	return id, nil
}

// strings is a list of plain text.
func (c *call) strings(all []string) answer {
	out := []any{}
	for _, s := range all {
		out = append(out, s)
	}
	return c.list("Collection(Edm.String)", out)
}

// object is the wire form of a principal of any kind with its type; nil when the id is nobody's.
func (h *Handler) object(id string) any {
	switch h.Identity.PrincipalType(id) {
	case "ServicePrincipal":
		a, _ := h.Identity.FindApp(id)
		w := h.principal(a)
		w.Type = "#microsoft.graph.servicePrincipal"
		return w
	case "User":
		u, _ := h.Identity.FindUser(id)
		w := toUser(u)
		w.Type = "#microsoft.graph.user"
		return w
	case "Group":
		g, _ := h.Identity.FindGroup(id)
		w := toGroup(g)
		w.Type = "#microsoft.graph.group"
		return w
	}
	return nil
}

// objects leaves out who is gone.
func (h *Handler) objects(ids []string) (out []any) {
	for _, id := range ids {
		if w := h.object(id); w != nil {
			out = append(out, w)
		}
	}
	return out
}

func (h *Handler) getObject(c *call) (answer, error) {
	if w := h.object(c.id); w != nil {
		return answer{http.StatusOK, w}, nil
	}
	return answer{}, missing(c.id)
}
