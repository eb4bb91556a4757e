package graph

import (
	"net/http"

	"tintype/internal/identity"
)

// userBody is the wire form of a user.
type userBody struct {
	Context string   `json:"@odata.context,omitempty"`
	Type    string   `json:"@odata.type,omitempty"`
	Phones  []string `json:"businessPhones"`
	Display string   `json:"displayName"`
	Given   *string  `json:"givenName"`
	Job     *string  `json:"jobTitle"`
	Mail    *string  `json:"mail"`
	Mobile  *string  `json:"mobilePhone"`
	Office  *string  `json:"officeLocation"`
	Lang    *string  `json:"preferredLanguage"`
	Surname *string  `json:"surname"`
	Name    string   `json:"userPrincipalName"`
	ID      string   `json:"id"`
}

func toUser(u identity.User) userBody {
	return userBody{Phones: []string{}, Display: u.Display, Name: u.Name, ID: u.ObjectID}
}

func (h *Handler) me(c *call) (answer, error) {
	if !c.who.IsUser() {
		return answer{}, bad("/me request is only valid with delegated authentication flow.")
	}
	u, ok := h.Identity.FindUser(c.who.ObjectID)
	if !ok {
		return answer{}, missing(c.who.ObjectID)
	}
	w := toUser(u)
	w.Context = c.base + "users/$entity"
	return answer{http.StatusOK, w}, nil
}

func (h *Handler) listUsers(c *call) (answer, error) {
	keep, err := parseFilter(c.r)
	if err != nil {
		return answer{}, err
	}
	var out []any
	for _, u := range h.Identity.Users() {
		if keep(facts{"displayname": {u.Display}, "userprincipalname": {u.Name}, "id": {u.ObjectID}, "mail": nil}) {
			out = append(out, toUser(u))
		}
	}
	return c.list("users", out), nil
}

func (h *Handler) getUser(c *call) (answer, error) {
	u, ok := h.Identity.FindUser(c.id)
	if !ok {
		return answer{}, missing(c.id)
	}
	w := toUser(u)
	w.Context = c.base + "users/$entity"
	return answer{http.StatusOK, w}, nil
}

// userChange is what the body of a POST or PATCH asks for.
type userChange struct {
	Name    string  `json:"userPrincipalName"`
	Display *string `json:"displayName"`
	Enabled *bool   `json:"accountEnabled"`
	Profile *struct {
		Password string `json:"password"`
		Change   bool   `json:"forceChangePasswordNextSignIn"`
	} `json:"passwordProfile"`
}

// check refuses what would be forgotten: a password that has to be changed at the next sign-in.
func (u userChange) check() error {
	if u.Profile != nil && u.Profile.Change {
		return bad("Property forceChangePasswordNextSignIn is not supported.")
	}
	return nil
}

func (h *Handler) addUser(c *call) (answer, error) {
	var body userChange
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if body.Profile == nil || body.Display == nil {
		return answer{}, bad("The properties displayName, userPrincipalName and passwordProfile are required.")
	}
	if err := body.check(); err != nil {
		return answer{}, err
	}
	u, err := h.Identity.AddUser(body.Name, *body.Display, body.Profile.Password)
	if err == nil && body.Enabled != nil && !*body.Enabled {
		err = h.Identity.ChangeUser(u.ObjectID, identity.UserChange{Enabled: body.Enabled})
	}
	w := toUser(u)
	w.Context = c.base + "users/$entity"
	return answer{http.StatusCreated, w}, err
}

func (h *Handler) changeUser(c *call) (answer, error) {
	var body userChange
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	if err := body.check(); err != nil {
		return answer{}, err
	}
	change := identity.UserChange{Display: body.Display, Enabled: body.Enabled}
	if body.Profile != nil {
		change.Password = &body.Profile.Password
	}
	return answer{status: http.StatusNoContent}, h.Identity.ChangeUser(c.id, change)
}

func (h *Handler) deleteUser(c *call) (answer, error) {
	gone, err := h.Identity.DeleteUser(c.id)
	if err == nil {
		err = h.Gone(gone.ObjectID)
	}
	return answer{status: http.StatusNoContent}, err
}
