//! Tables that fit: the widest columns that may be cut are cut until a row is as wide as the terminal.

use super::visible;

/// Two columns' distance.
const GAP: usize = 2;
/// Narrower than this no column is cut.
const CUT_CHARS_MIN: usize = 8;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its head.
    pub title: &'static str,
    /// Only shown by `-o wide`.
    pub wide: bool,
    /// Free text, which may be cut.
    pub cut: bool,
}

/// A column that is always whole.
pub const fn column(title: &'static str) -> Column {
    Column { title, wide: false, cut: false }
}

/// A column that may be cut.
pub const fn text(title: &'static str) -> Column {
    Column { title, wide: false, cut: true }
}

/// A column of `-o wide`.
pub const fn wide(title: &'static str) -> Column {
    Column { title, wide: true, cut: false }
}

/// Rows under columns.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// All columns, none cut.
    pub wide: bool,
    /// Columns of the terminal; `None` where nothing is cut.
    pub width: Option<usize>,
    /// Colour the words that matter.
    pub colours: bool,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[Column]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, one cell a column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.columns.len(), "one cell a column");
        self.rows.push(cells.map(|cell| visible(&cell).replace('\n', " ")).to_vec());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, a line a row, the head first.
    pub fn render(&self, style: Style) -> String {
        let shown: Vec<usize> = (0..self.columns.len()).filter(|&i| style.wide || !self.columns[i].wide).collect();
        let width = if style.wide { None } else { style.width };
        let widths = self.widths(&shown, width);
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
        let mut out = line(&titles, &shown, &widths, false);
        for row in &self.rows {
            out.push_str(&line(row, &shown, &widths, style.colours));
        }
        out
    }

    fn widths(&self, shown: &[usize], limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = shown
            .iter()
            .map(|&i| {
                let cells = self.rows.iter().map(|row| row[i].chars().count());
                cells.chain([self.columns[i].title.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let Some(limit) = limit else { return widths };
        while widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) > limit {
            let widest = (0..shown.len())
                .filter(|&at| self.columns[shown[at]].cut && widths[at] > CUT_CHARS_MIN)
                .max_by_key(|&at| widths[at]);
            match widest {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        widths
    }
}

fn line(cells: &[String], shown: &[usize], widths: &[usize], colours: bool) -> String {
    let mut out = String::new();
    for (at, &i) in shown.iter().enumerate() {
        let cell = cut(&cells[i], widths[at]);
        let pad = if at + 1 == shown.len() { 0 } else { widths[at] - cell.chars().count() + GAP };
        match tint(&cell).filter(|_| colours) {
            Some(code) => out.push_str(&format!("\x1b[{code}m{cell}\x1b[0m")),
            None => out.push_str(&cell),
        }
        out.extend(std::iter::repeat_n(' ', pad));
    }
    let end = out.trim_end().len();
    out.truncate(end);
    out.push('\n');
    out
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut out: String = cell.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Words whose colour helps an eye that scans: what is well is green, what is on its way yellow, what is wrong red.
fn tint(cell: &str) -> Option<&'static str> {
    match cell {
        "RUNNING" | "ACTIVE" | "COMPLETED" | "leader" | "HEALTHY" => Some("32"),
        "PENDING" | "PROVISIONING" | "ACTIVATING" | "DRAINING" | "IN_PROGRESS" => Some("33"),
        "FAILED" | "UNHEALTHY" | "down" | "silent" => Some("31"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[column("NAME"), wide("ID"), text("REASON")]);
        table.row(["web".into(), "1".into(), "a long explanation of why it is short".into()]);
        table.row(["api-internal".into(), "2".into(), String::new()]);
        table
    }

    #[test]
    fn a_table_is_cut_to_the_terminal() {
        let narrow = sample().render(Style { wide: false, width: Some(30), colours: false });
        assert_eq!(narrow, "NAME          REASON\nweb           a long explanat…\napi-internal\n");
        assert!(narrow.lines().all(|line| line.chars().count() <= 30));
    }

    #[test]
    fn a_column_is_never_cut_below_eight() {
        let tiny = sample().render(Style { wide: false, width: Some(10), colours: false });
        assert_eq!(tiny.lines().nth(1), Some("web           a long …"));
    }

    #[test]
    fn a_pipe_and_wide_get_everything() {
        let pipe = sample().render(Style { wide: false, width: None, colours: false });
        assert!(pipe.contains("why it is short") && !pipe.contains("ID"));
        let wide = sample().render(Style { wide: true, width: Some(10), colours: false });
        assert!(wide.contains("why it is short") && wide.contains("ID"));
    }

    #[test]
    fn a_cell_is_one_line_and_commands_no_terminal() {
        let mut table = Table::new(&[column("GROUP")]);
        table.row(["a\nb\x1b[2J".into()]);
        assert_eq!(table.render(Style { wide: false, width: None, colours: false }), "GROUP\na b␛[2J\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(&[column("STATUS"), column("NAME")]);
        table.row(["RUNNING".into(), "a".into()]);
        let text = table.render(Style { wide: false, width: None, colours: true });
        assert_eq!(text, "STATUS   NAME\n\u{1b}[32mRUNNING\u{1b}[0m  a\n");
    }
}
