package meter

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"tintype"
)

// CSVOptions are what a report says beside the usage.
type CSVOptions struct {
	Subscription string // display name
}

// csvHead is the first line: the columns of Azure's cost details, of which those that mean nothing here are empty.
const csvHead = "BillingAccountId,BillingAccountName,BillingPeriodStartDate,BillingPeriodEndDate,BillingProfileId,BillingProfileName," +
	"AccountOwnerId,AccountName,SubscriptionId,SubscriptionName,BillingPeriod,Date,Product,PartNumber,MeterId,ServiceFamily," +
	"MeterCategory,MeterSubCategory,MeterRegion,MeterName,UnitOfMeasure,Quantity,Cost,CostInBillingCurrency,EffectivePrice," +
	"UnitPrice,PayGPrice,BillingCurrency,ResourceLocation,Location,ConsumedService,ResourceGroup,ResourceId,ResourceName,ResourceType," +
	"ServiceInfo1,ServiceInfo2,AdditionalInfo,Tags,InvoiceSectionId,InvoiceSectionName,CostCenter,ReservationId,ReservationName," +
	"ProductOrderId,ProductOrderName,OfferId,IsAzureCreditEligible,Term,PublisherName,PublisherType,PlanName,ChargeType,Frequency," +
	"PricingModel,Provider\r\n"

// csvDate is how Azure's files write a day.
const csvDate = "01/02/2006"

// WriteCSV writes the query's rows to w, and tells how many there were. Quantity times UnitPrice is Cost, to the last digit,
// so a spreadsheet's sums agree with the bill.
func (s *Service) WriteCSV(ctx context.Context, q Query, opt CSVOptions, w io.Writer) (rows int64, err error) {
	if _, err := io.WriteString(w, csvHead); err != nil {
		return 0, err
	}
	var line []byte
	var c csvPieces
	err = s.Usage(ctx, q, func(r *Row) (bool, error) {
		if !c.fit(r) {
			c = csvPiecesOf(r, s.opt.Prices.Currency, opt)
		}
		line = append(append(line[:0], c.before...), r.Day.Time().Format(csvDate)...)
		line = append(append(line, c.between...), r.Quantity.String()...)
		cost := r.Cost().String()
		line = append(append(append(line, ','), cost...), ',')
		line = append(append(line, cost...), c.after...)
		rows++
		_, err := w.Write(line)
		return err == nil, err
	})
	return rows, err
}

// csvPieces is what is alike in a resource's lines, between what differs from day to day.
type csvPieces struct {
	resource               *Resource
	product                Product
	price                  Price
	profile, bytes         int64
	next                   Day // of the month after
	before, between, after string
}

func (c *csvPieces) fit(r *Row) bool {
	return c.resource == r.Resource && c.product == r.Product && c.price == r.Price && c.profile == r.Last.profile &&
		c.bytes == r.BilledBytes() && r.Day < c.next
}

func csvPiecesOf(r *Row, currency string, opt CSVOptions) csvPieces {
	first, next := r.Day.Month()
	c := csvPieces{
		resource: r.Resource, product: r.Product, price: r.Price, profile: r.Last.profile, bytes: r.BilledBytes(), next: next,
	}
	id, p, price := r.Resource.ID, r.Product, r.Price.String()
	region := RegionName(r.Resource.Location)
	c.before = csvJoin("", "", first.Time().Format(csvDate), (next-1).Time().Format(csvDate), "", "", "", "",
		string(id.Subscription), opt.Subscription, first.Time().Format("200601")) + ","
	c.between = "," + csvJoin(r.ProductName(), "", p.ID(r.Resource.Location).String(), "Storage", "Storage", p.Name, region, p.Meter, p.Unit) + ","
	c.after = "," + csvJoin(price, price, price, currency, r.Resource.Location, r.Resource.Location, "Microsoft.Compute", id.Group,
		id.String(), id.Name, id.Kind.Type(), "", "", r.AdditionalInfo(), r.TagsText(), "", "", "", "", "", "", "", "",
		"False", "", "Tintype", "Azure", "", "Usage", "UsageBased", "OnDemand", "Tintype") + "\r\n"
	return c
}

// csvJoin writes fields as RFC 4180 has them.
func csvJoin(fields ...string) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		if strings.ContainsAny(f, "\",\r\n") {
			b.WriteString(`"` + strings.ReplaceAll(f, `"`, `""`) + `"`)
			continue
		}
		b.WriteString(f)
	}
	return b.String()
}

// RegionName is how bills call a region.
func RegionName(location string) string {
	if r, ok := tintype.FindRegion(location); ok {
		return r.DisplayName
	}
	return location
}

// ProductName is the row's product as bills have it: product, meter and region.
func (r *Row) ProductName() string {
	return r.Product.Name + " - " + r.Product.Meter + " - " + RegionName(r.Resource.Location)
}

// BilledBytes is the size by which a snapshot was billed last on that day; of a disk, which is billed by its tier, what it
// provides.
func (r *Row) BilledBytes() int64 {
	switch {
	case r.Resource.Kind == tintype.KindDisk:
		return r.Last.Provisioned
	case r.Resource.Incremental:
		return r.Last.Incremental
	}
	return r.Last.Used
}

// AdditionalInfo tells, as JSON, what the columns have no word for.
func (r *Row) AdditionalInfo() string {
	text := `{"BilledBytes":` + strconv.FormatInt(r.BilledBytes(), 10)
	if r.Resource.Incremental {
		text += `,"Incremental":true`
	}
	if !r.Priced {
		text += `,"Priced":false`
	}
	return text + "}"
}

// TagsText writes the resource's tags as JSON, "" when it has none.
func (r *Row) TagsText() string {
	if len(r.Last.Tags) == 0 {
		return ""
	}
	text, err := json.Marshal(r.Last.Tags)
	if err != nil {
		return "" // a map of strings always has a text
	}
	return string(text)
}
