package cli

import "context"

func storeGrants(ctx context.Context, s *session, _ *arguments) (any, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s.list(ctx, versioned("/subscriptions/"+s.subscription()+"/providers/Microsoft.Compute/grants", computeAPI))
}

func grantColumns(o map[string]any) row {
	return row{
		{"Id", o["id"]},
		{"Access", o["access"]},
		{"Principal", o["principalId"]},
		{"Granted", o["grantedTime"]},
		{"Expires", o["expiryTime"]},
		{"Read", o["readBytes"]},
		{"Written", o["writtenBytes"]},
		{"LastUsed", o["lastUsedTime"]},
	}
}
