def report_html(rows, title): return "<html></html>"
