package compute

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"tintype"
	"tintype/internal/catalog"
)

// maxTagNames bounds the names and values that a subscription offers. Source: "unique tags per subscription", Azure's limits.
const maxTagNames = 80_000

// OfferedTags lists the names of tags that the subscription offers, in their order, with their values.
func (s *Service) OfferedTags(ctx context.Context, sub tintype.SubscriptionID) (out []tintype.TagName, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		out, err = tx.TagNames(sub)
		return err
	})
	return out, edge(err)
}

// OfferTag has the subscription offer a name; created is false when it did before.
func (s *Service) OfferTag(ctx context.Context, sub tintype.SubscriptionID, name string) (created bool, err error) {
	if err := tintype.CheckPredefinedTagName(name); err != nil {
		return false, err
	}
	err = s.update(ctx, func(tx *catalog.Tx) (err error) {
		if created, err = tx.AddTagName(sub, name); err != nil || !created {
			return err
		}
		return roomForTags(tx, sub)
	})
	return created, edge(err)
}

// OfferTagValue has the subscription offer a value, and the name with it; created is false when it did before.
func (s *Service) OfferTagValue(ctx context.Context, sub tintype.SubscriptionID, name, value string) (created bool, err error) {
	if err := tintype.CheckPredefinedTagName(name); err != nil {
		return false, err
	}
	if err := tintype.CheckTagValue(name, value); err != nil {
		return false, err
	}
	err = s.update(ctx, func(tx *catalog.Tx) (err error) {
		if _, err = tx.AddTagName(sub, name); err != nil {
			return err
		}
		if created, err = tx.AddTagValue(sub, name, value); err != nil || !created {
			return err
		}
		return roomForTags(tx, sub)
	})
	return created, edge(err)
}

func roomForTags(tx *catalog.Tx, sub tintype.SubscriptionID) error {
	n, err := tx.CountTags(sub)
	if err == nil && n > maxTagNames {
		return &tintype.Error{Kind: tintype.KindConflict, Code: "TooManyTags", Message: fmt.Sprintf(
			"The subscription has at most %d predefined tag names and values.", maxTagNames)}
	}
	return err
}

// WithdrawTag takes back a name that has no values; ok is false when it is not offered.
func (s *Service) WithdrawTag(ctx context.Context, sub tintype.SubscriptionID, name string) (ok bool, err error) {
	err = s.update(ctx, func(tx *catalog.Tx) error {
		known, err := tx.TagNames(sub)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(known, func(n tintype.TagName) bool { return strings.EqualFold(n.Name, name) })
		if i >= 0 && len(known[i].Values) > 0 {
			return &tintype.Error{Kind: tintype.KindConflict, Code: "TagNameHasValues", Message: fmt.Sprintf(
				"The tag name '%s' cannot be deleted: its predefined values have to be deleted first.", known[i].Name)}
		}
		ok, err = tx.DeleteTagName(sub, name)
		return err
	})
	return ok, edge(err)
}

// WithdrawTagValue takes back a value; ok is false when it is not offered.
func (s *Service) WithdrawTagValue(ctx context.Context, sub tintype.SubscriptionID, name, value string) (ok bool, err error) {
	err = s.update(ctx, func(tx *catalog.Tx) (err error) {
		ok, err = tx.DeleteTagValue(sub, name, value)
		return err
	})
	return ok, edge(err)
}

// SubscriptionTags are the tags of the subscription itself.
func (s *Service) SubscriptionTags(ctx context.Context, sub tintype.SubscriptionID) (tags map[string]string, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		tags, err = tx.SubscriptionTags(sub)
		return err
	})
	return tags, edge(err)
}

// SetSubscriptionTags replaces them.
func (s *Service) SetSubscriptionTags(ctx context.Context, sub tintype.SubscriptionID, tags map[string]string) error {
	if err := tintype.CheckTags(tags); err != nil {
		return err
	}
	return edge(s.update(ctx, func(tx *catalog.Tx) error { return tx.PutSubscriptionTags(sub, tags) }))
}
