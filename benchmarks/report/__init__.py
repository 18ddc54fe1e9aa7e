"""The pages made from one result file: RESULTS.md, the HTML report, the decision record."""
